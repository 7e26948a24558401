"""Splits folders of documents into pieces that fit the rows of a run's model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from peft import PeftConfig
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import cached_file, find_adapter_config_file

from forgetting.benchmarks.registry import suite_model
from forgetting.core.example import Example
from forgetting.core.progress import Voice
from forgetting.data.folders import holds_documents
from forgetting.data.pieces import in_pieces
from forgetting.data.source import Source
from forgetting.models.head import longest_of
from forgetting.models.weights import attempt
from forgetting.recipe import Recipe


def fitting(examples: Sequence[Example], source: Source, recipe: Recipe, voice: Voice) -> list[Example]:
    """The examples; those of a folder of documents are split into pieces of at most a row of the recipe's model.

    Only the model's tokenizer and config are read: its weights may be loaded later, or not at all.

    Raises:
        ModelError: there is no such model.
    """
    if source.path is None or not holds_documents(Path(source.path)):
        return list(examples)
    tokenizer, positions = _reader(suite_model(recipe.model), recipe.revision)
    longest = min(recipe.format.max_length, positions or recipe.format.max_length)
    pieces = in_pieces(examples, tokenizer, longest)
    if len(pieces) > len(examples):
        voice.say(f"{source}: {len(examples):,} documents in {len(pieces):,} pieces of at most {longest} tokens")
    return pieces


@lru_cache(maxsize=2)
def _reader(name: str | Path, revision: str | None) -> tuple[PreTrainedTokenizerBase, int | None]:
    """A model's tokenizer and maximum number of positions; for an adapter without its own, its base's."""
    name = base = str(name)
    if attempt(name, "model", find_adapter_config_file, name, revision=revision) is not None:
        base = attempt(name, "adapter", PeftConfig.from_pretrained, name, revision=revision).base_model_name_or_path
    optional = {"revision": revision, "_raise_exceptions_for_missing_entries": False}
    own = base == name or attempt(name, "model", cached_file, name, "tokenizer_config.json", **optional) is not None
    at = {"revision": revision if base == name else None}
    config = attempt(base, "config", AutoConfig.from_pretrained, base, **at)
    whose = (name, {"revision": revision}) if own else (base, at)
    tokenizer = attempt(whose[0], "tokenizer", AutoTokenizer.from_pretrained, whose[0], **whose[1])
    return tokenizer, longest_of(config)
