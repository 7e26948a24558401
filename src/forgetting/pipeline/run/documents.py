"""Splits folders of documents into pieces that fit the rows of a run's model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from transformers import AutoConfig, PreTrainedTokenizerBase

from forgetting.core.example import Example
from forgetting.core.progress import Voice
from forgetting.data.folders import holds_documents
from forgetting.data.pieces import in_pieces
from forgetting.data.source import Source
from forgetting.models.adapters import chain_of
from forgetting.models.expression import terms_of
from forgetting.models.head import longest_of
from forgetting.models.loading import tokenizer_of
from forgetting.models.places import attempt, check_place
from forgetting.pipeline.run.source import model_source
from forgetting.recipe import Recipe


def fitting(examples: Sequence[Example], source: Source, recipe: Recipe, voice: Voice) -> list[Example]:
    """The examples; those of a folder of documents are split into pieces of at most a row of the recipe's model.

    Only the model's tokenizer and config are read: its weights may be loaded later, or not at all.

    Raises:
        ModelError: there is no such model.
    """
    if source.path is None or not holds_documents(Path(source.path)):
        return list(examples)
    tokenizer, positions = _reader(model_source(terms_of(recipe.model)[0].model), recipe.revision)
    longest = min(recipe.format.max_length, positions or recipe.format.max_length)
    pieces = in_pieces(examples, tokenizer, longest)
    if len(pieces) > len(examples):
        voice.say(f"{source}: {len(examples):,} documents in {len(pieces):,} pieces of at most {longest} tokens")
    return pieces


@lru_cache(maxsize=2)
def _reader(name: str | Path, revision: str | None) -> tuple[PreTrainedTokenizerBase, int | None]:
    """A model's tokenizer and maximum number of positions; for an adapter without its own, its base's."""
    check_place(str(name), revision)
    chain = chain_of(str(name), revision)
    config = attempt(chain.base, "config", AutoConfig.from_pretrained, chain.base, revision=chain.revision)
    return tokenizer_of(chain), longest_of(config)
