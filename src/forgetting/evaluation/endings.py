"""Where a written answer ends, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList

from forgetting.data.chat import closing_of
from forgetting.models.head import causal_model

_SENTENCE = set(" .!?,;:…。！？，；：\"'”’»)]")
"""What answers themselves are full of: a closing of nothing else is not looked for in them."""
_BEFORE = 8
"""Tokens before those of a stop that are decoded with them, since some decoders drop a space at the very beginning."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends an answer."""

    ids: tuple[int, ...]
    """Any of these tokens: the tokenizer's own end, those of the model's generation settings, and the token with which
    the chat template closes an answer. A base model's settings often lack the last one, which is what it was trained
    to write."""
    text: str = ""
    """What the chat template writes after an answer as plain text, before any such token; empty if nothing."""
    stops: tuple[str, ...] = ()
    """Texts at the first of which an answer ends."""
    tokenizer: PreTrainedTokenizerBase = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, model: nn.Module, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str] = ()) -> Ending:
        """The ending of a model's answers, whatever they are generated for; `stops` are texts that end them too."""
        own = getattr(causal_model(model).generation_config, "eos_token_id", None)
        closing, text = _closing(tokenizer)
        found = {tokenizer.eos_token_id, closing, *(own if isinstance(own, list) else [own])}
        return cls(tuple(sorted(found - {None})), text, tuple(stops), tokenizer=tokenizer)

    def ended(self, written: Sequence[int]) -> bool:
        """Whether an answer, of one token or more, ends with its last token."""
        if written[-1] in self.ids:
            return True
        # A token holds a byte or more: what the last stop and a little before it are made of is looked at first.
        return bool(self.stops) and self._stopped(written[-self._reach :]) and self._stopped(written)

    def criteria(self, prompt: int) -> StoppingCriteriaList:
        """What `generate` asks after each token about rows whose answers begin at the token `prompt`."""
        return StoppingCriteriaList([_Stops(self, prompt)] if self.stops else [])

    @property
    def _reach(self) -> int:
        return _BEFORE + max(len(stop.encode()) for stop in self.stops)

    def _stopped(self, written: Sequence[int]) -> bool:
        text = self._decoded(written)
        return any(stop in text for stop in self.stops)

    def _decoded(self, written: Sequence[int]) -> str:
        text: Any = self.tokenizer.decode(list(written), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def words(self, written: Sequence[int]) -> str:
        """The text of an answer, without the space around it."""
        return self.text_of(written).strip()

    def text_of(self, written: Sequence[int]) -> str:
        """What is written up to the end, without special tokens.

        The token of the end is no part of it, though a tokenizer may not count it as special.
        """
        within = list(takewhile(lambda token: token not in self.ids, written))
        text = self._decoded(within)
        return text[: min((text.index(end) for end in (self.text, *self.stops) if end and end in text), default=None)]


class _Stops(StoppingCriteria):
    """Ends each row by itself, as soon as what it has written holds a stop."""

    def __init__(self, ending: Ending, prompt: int) -> None:
        self.ending, self.prompt = ending, prompt

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """By row, whether it has ended; `generate` fills up rows that have."""
        written = input_ids[:, self.prompt :].tolist()
        return torch.tensor([self.ending.ended(row) for row in written], device=input_ids.device)


def without_special(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """A right answer as `Ending.words` would give it: special tokens that it holds are no text of it."""
    for token in tokenizer.all_special_tokens:
        text = text.replace(token, "")
    return text


def closing_of_answers(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """The texts with which the chat template closes an answer, if it does: for programs that end answers at texts."""
    token, text = _closing(tokenizer)
    return tuple(filter(None, (None if token is None else str(tokenizer.convert_ids_to_tokens(token)), text)))


def _closing(tokenizer: PreTrainedTokenizerBase) -> tuple[int | None, str]:
    """The token with which the chat template closes an answer, and the plain text before it."""
    closing = closing_of(tokenizer)
    added = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    token = next((i for i in tokenizer(closing, add_special_tokens=False)["input_ids"] if i in added), None)
    text = closing if token is None else closing.partition(str(tokenizer.convert_ids_to_tokens(token)))[0]
    return token, "" if set(text) <= _SENTENCE else text.strip()
