"""Where a written answer ends, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.data.chat import closing_of
from forgetting.models.head import causal_model

_SENTENCE = set(" .!?,;:…。！？，；：\"'”’»)]")
"""What answers themselves are full of: a closing of nothing else is not looked for in them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends an answer."""

    ids: tuple[int, ...]
    """Any of these tokens: the tokenizer's own end, those of the model's generation settings, and the token with which
    the chat template closes an answer. A base model's settings often lack the last one, which is what it was trained
    to write."""
    text: str = ""
    """What the chat template writes after an answer as plain text, before any such token; empty if nothing."""

    @classmethod
    def of(cls, model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> Ending:
        """The ending of a model's answers, whatever they are generated for."""
        own = getattr(causal_model(model).generation_config, "eos_token_id", None)
        closing, text = _closing(tokenizer)
        found = {tokenizer.eos_token_id, closing, *(own if isinstance(own, list) else [own])}
        return cls(tuple(sorted(found - {None})), text)

    def words(self, tokenizer: PreTrainedTokenizerBase, written: Sequence[int]) -> str:
        """The text of an answer, without the space around it."""
        return self.text_of(tokenizer, written).strip()

    def text_of(self, tokenizer: PreTrainedTokenizerBase, written: Sequence[int]) -> str:
        """What is written up to the end, without special tokens.

        The token of the end is no part of it, though a tokenizer may not count it as special.
        """
        within = list(takewhile(lambda token: token not in self.ids, written))
        text: Any = tokenizer.decode(within, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.partition(self.text)[0] if self.text else text


def without_special(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """A right answer as `Ending.words` would give it: special tokens that it holds are no text of it."""
    for token in tokenizer.all_special_tokens:
        text = text.replace(token, "")
    return text


def _closing(tokenizer: PreTrainedTokenizerBase) -> tuple[int | None, str]:
    """The token with which the chat template closes an answer, and the plain text before it."""
    closing = closing_of(tokenizer)
    added = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    token = next((i for i in tokenizer(closing, add_special_tokens=False)["input_ids"] if i in added), None)
    text = closing if token is None else closing.partition(str(tokenizer.convert_ids_to_tokens(token)))[0]
    return token, "" if set(text) <= _SENTENCE else text.strip()
