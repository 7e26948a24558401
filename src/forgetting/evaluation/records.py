"""The record of an example: what it is, and what a model did on it."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.tokens import response_text
from forgetting.evaluation.endings import without_special


def record_of(example: Example, split: str, tokenizer: PreTrainedTokenizerBase, **found: Any) -> Record:
    """The record of an example of a split.

    Args:
        example: whose id, texts, group, kind and popularity the record keeps.
        split: its split.
        tokenizer: gives the text of a response that is token ids.
        found: what the model did: further fields of `Record`, such as `score` and `generation`.
    """
    return Record(
        id=example.id,
        split=split,
        prompt=example.prompt,
        answer=without_special(response_text(example, tokenizer), tokenizer),
        popularity=example.popularity,
        group=example.group,
        kind=example.kind,
        **found,
    )
