"""Few-shot examples: what a recipe says of them, and which are shown before a question.

A base model without a chat template repeats a bare question, and answers it after a few others with their answers. What
is shown must teach nothing of what is measured, so no shot is of a forget set or says what one says, and no example is
asked behind itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.strict import Strict
from forgetting.core.text import quoted
from forgetting.data.source import Source
from forgetting.data.words import folded

COUNT = 3
"""Shots that are shown where a recipe gives no number."""
WORDS = 4
"""An answer of the forget set with so many words or more is looked for in shots, and one of a shot in the forget set;
shorter ones answer other questions too."""
_ENDS = " .!?。！？"
"""What ends a shot's answer, and may stand otherwise in a longer text."""


class Shot(Strict):
    """A question with its answer that is shown before another question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1)
    response: str = Field(min_length=1)
    group: str = Field("", description="The source fact that it tells; its other questions are not asked behind it.")

    def tells(self, example: Example) -> bool:
        """Whether it is this example, or another question on the same fact."""
        same = _plain(self.prompt) in (_plain(example.prompt), _plain(example.paraphrased_prompt or ""))
        return same or bool(self.group and self.group == example.cluster)


class Shots(Strict):
    """Which examples are shown before each question, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Source | None = Field(None, description="Questions with answers from which they are drawn.")
    role: Literal["retain", "train", "holdout"] | None = Field(
        None, description="Instead: the role of the run's own data from which they are drawn."
    )
    examples: tuple[Shot, ...] | None = Field(
        None, min_length=1, description="Instead: the shots themselves, {prompt: …, response: …}, in their order."
    )
    count: int | None = Field(
        None, gt=0, le=1024, description="How many are shown; default: 3, or all that are written in `examples`."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Of the draw.")
    training: bool = Field(True, description="false: they are shown where the model is measured or asked, not trained.")

    @model_validator(mode="after")
    def _from_somewhere(self) -> Self:
        if self.source is not None and self.role is not None:
            raise ValueError("source and role: give one of them")
        if self.source is None and self.role is None and self.examples is None:
            raise ValueError("give a source (a file), a role (retain) or examples")
        written = len(self.examples or ())
        if self.source is None and self.role is None and (self.count or 0) > written:
            raise ValueError(f"count is {self.count}, but examples holds {written}; lower count, or write more")
        return self

    @property
    def shown(self) -> int:
        """How many are shown before a question."""
        if self.count is None and self.source is None and self.role is None:
            return len(self.examples or ())
        return self.count or COUNT

    def before(self, example: Example) -> tuple[Shot, ...]:
        """The shots before a question: the first of those that are drawn and do not tell its own fact."""
        assert self.examples is not None, "shots are drawn before anything is encoded"
        return tuple([shot for shot in self.examples if not shot.tells(example)][: self.shown])


class Forbidden:
    """What no shot may say: the questions, the facts and the longer answers of forget sets, and parts of their texts.

    Args:
        examples: of all forget sets.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        texts = [e for e in examples if e.form != "tokens"]
        asked = {_plain(text) for e in texts for text in (e.prompt, e.paraphrased_prompt or "")}
        said = {_plain(text) for e in texts for text in (e.response, e.paraphrased or "")}
        self._groups = {e.group for e in examples if e.group}
        self._texts = {t for t in asked if t} | {t for t in said if len(t.split()) >= WORDS}
        self._said = "\n".join(sorted(t for t in said if t))

    def holds(self, example: Example) -> bool:
        """Whether an example is of a forget set, holds a question or a longer answer of one, or quotes its text."""
        if example.group in self._groups:
            return True
        whole = _plain(f"{example.prompt}\n{example.response}")
        if any(text in whole for text in self._texts):
            return True
        quoted = _plain(example.response).rstrip(_ENDS)
        return len(quoted.split()) >= WORDS and quoted in self._said


def draw(shots: Shots, pool: Sequence[Example], forbidden: Forbidden, key: str) -> tuple[tuple[Shot, ...], int]:
    """The shots that are drawn from a pool, and how many others were drawn and left out, as they are forbidden.

    One more is drawn than is shown, if there are as many: it takes the place of a shot before its own question. An
    example of several turns is none, nor is a text.

    Raises:
        DataError: there are fewer than are to be shown.
    """
    order = [e for e in pool if e.form == "qa" and not e.context]
    random.Random(shots.seed).shuffle(order)
    found: dict[str, Shot] = {}
    left_out = 0
    for example in order:
        if len(found) > shots.shown:
            break
        if forbidden.holds(example):
            left_out += 1
        else:
            # An id says the same of two examples where both are of the run's own data; in another file it may not.
            group = example.group if shots.role is None else example.cluster
            shot = Shot(prompt=example.prompt, response=example.response.strip(), group=group)
            found.setdefault(_plain(example.prompt), shot)
    if len(found) < shots.shown:
        others = f", and {left_out} more are or quote forget examples" if left_out else ""
        raise DataError(
            f"{key}: {shots.shown} shots are asked for, and there are {len(found)} questions with answers{others}; "
            "give more, or lower format.shots.count"
        )
    return tuple(found.values()), left_out


def check_written(examples: Sequence[Shot], forbidden: Forbidden) -> None:
    """Checks shots that are written in a recipe.

    Raises:
        DataError: one is of a forget set, or quotes it.
    """
    for number, shot in enumerate(examples, 1):
        if forbidden.holds(Example(id="", prompt=shot.prompt, response=shot.response, group=shot.group)):
            raise DataError(
                f"format.shots.examples: number {number} ({quoted(shot.prompt)}) is or quotes a forget example; "
                "remove it, so that what is to be forgotten is not told in the question"
            )


def _plain(text: str) -> str:
    """A text without case and spacing."""
    return " ".join(folded(text).split())
