"""The unit of data: an example and its role."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from forgetting.core.text import quoted


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
`tokens`: the example is its token ids, and no tokenizer is used."""


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One fact or text that a model may know: the question, the answer, and what is needed to measure both.

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
    """A paraphrase of the question, on which the truth ratio is measured; None: `prompt` itself."""
    paraphrased: str | None = None
    """A paraphrase of the answer; None: `response` itself."""
    perturbed: tuple[str, ...] = ()
    """Wrong answers of the same shape."""
    popularity: float | None = None
    group: str = ""
    """Examples of one source fact share a group; intervals are clustered by it. Empty: the example's own id."""
    kind: str = ""
    """A category for breakdowns: a relation, a skill."""
    weight: float = 1.0
    """The weight of each of its supervised tokens; negative: forget."""
    token_weights: tuple[float, ...] = ()
    """For training: the factor of `weight` at each supervised token (those of the response as encoded, and the end
    token), in order. Negative: forget; 0: not supervised. Empty: 1 at each."""
    target_ids: tuple[int, ...] = ()
    """The token ids that `token_weights` belong to, which identify their tokenizer; empty: unknown."""
    token_ids: tuple[int, ...] = ()
    """For form `tokens`: the ids that are trained on and measured, unchanged."""
    max_tokens: int | None = None
    """For a text: only its first so many tokens, verbatim and without an end token, are trained on and measured.
    None: the whole text with its end token."""
    where: str = ""
    """Its file and line, for messages: `facts.jsonl:17`."""
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """How messages name it: where it is, or its id if it is in no file."""
        return self.where or quoted(self.id)

    @property
    def is_document(self) -> bool:
        """Whether it is a text without a prompt; long ones are trained on in windows."""
        return self.form != "qa" and not self.prompt

    @property
    def cluster(self) -> str:
        """The key by which intervals are clustered."""
        return self.group or self.id


def content_id(prompt: str, response: str) -> str:
    """The id of an example that has none: 12 hex digits of its content."""
    return hashlib.sha256(json.dumps([prompt, response]).encode()).hexdigest()[:12]
