"""What enters at `data`: an example and the role it plays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What an example is for in a stage."""

    FORGET = "forget"
    RETAIN = "retain"
    TRAIN = "train"
    HOLDOUT = "holdout"
    ALTERNATE = "alternate"
    """A refusal or a counterfactual answer to a forget question."""


Form = Literal["qa", "text", "tokens"]
"""`qa`: prompt and response pass through the chat template, or a plain one. `text`: they are joined as they are.
`tokens`: the example is its token ids, and no tokenizer is asked."""


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing a model may know: what it is asked, what it answers, and what is needed to measure that.

    A document is an example of form `text` with an empty prompt; one that comes as token ids has form `tokens`, and its
    response is those ids as text. A conversation is an example whose last user turn is `prompt`, whose last assistant
    turn is `response`, and whose earlier turns are `context`.
    """

    id: str
    response: str
    prompt: str = ""
    form: Form = "qa"
    context: tuple[Message, ...] = ()
    paraphrased_prompt: str | None = None
    """The question in other words, on which the truth ratio is measured; None: `prompt` itself."""
    paraphrased: str | None = None
    """A right answer in other words; None: `response` itself."""
    perturbed: tuple[str, ...] = ()
    """Wrong answers of the same shape."""
    popularity: float | None = None
    group: str = ""
    """Examples of one source fact share a group; intervals are clustered by it. Empty: the example's own id."""
    kind: str = ""
    """A category for breakdowns: a relation, a skill."""
    weight: float = 1.0
    """Of every supervised token of it; negative: to be forgotten."""
    token_weights: tuple[float, ...] = ()
    """For training: what `weight` is multiplied by at each supervised token (those of the response as encoded, and the
    end token), in order. Negative: to be forgotten; 0: not supervised. Empty: 1 at each."""
    target_ids: tuple[int, ...] = ()
    """The token ids that `token_weights` stand for, by which their tokenizer is known again; empty: not known."""
    token_ids: tuple[int, ...] = ()
    """Of form `tokens`: what is trained on and measured, as it is."""
    max_tokens: int | None = None
    """Of a text: only its first so many tokens, word for word and without an end token, are trained on and measured.
    None: all of it, and its end."""
    where: str = ""
    """The file and line it came from, for messages: `facts.jsonl:17`."""
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_document(self) -> bool:
        """Whether it is a text without a prompt, which is trained on in windows where it is long."""
        return self.form != "qa" and not self.prompt

    @property
    def cluster(self) -> str:
        """The key by which intervals are clustered."""
        return self.group or self.id


def content_id(prompt: str, response: str) -> str:
    """The id of an example that brings none: 12 hex digits of what it says."""
    return hashlib.sha256(json.dumps([prompt, response]).encode()).hexdigest()[:12]
