"""How an example becomes text, as a recipe says it under `format`."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from transformers import PreTrainedTokenizerBase

from forgetting.core.strict import Strict
from forgetting.data.chat import reads_clock
from forgetting.data.shots import Shots


def _asking(plain: str) -> str:
    """Checks that the question has its place; without it, every row would be asked the same."""
    if "{prompt}" not in plain:
        raise ValueError("it has no {prompt}; write where the question goes, such as 'Q: {prompt} A: '")
    return plain


class Formatting(Strict):
    """How an example becomes text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: Literal["auto", "chat", "plain"] = Field(
        "auto", description="chat: the tokenizer's chat template; plain: `plain`; auto: chat if there is one."
    )
    plain: Annotated[str, AfterValidator(_asking), WithJsonSchema({"type": "string", "pattern": r"\{prompt\}"})] = (
        Field(
            "Question: {prompt}\nAnswer: ",
            description="What precedes the response without a chat template; {prompt} stands for the question.",
        )
    )
    system: str | None = Field(None, description="A system prompt for the chat template.")
    turns: Literal["last", "all"] = Field(
        "last", description="Which of the assistant's turns of a conversation are trained on; the last is measured."
    )
    date: datetime.date | None = Field(
        None,
        description="The day that a chat template writes (YYYY-MM-DD); null: the day on which a run begins.",
    )
    max_length: int = Field(
        1024, gt=1, lt=2**31, description="Tokens per row, shots included; longer documents are cut into windows."
    )
    shots: Shots | None = Field(
        None,
        description="Questions with answers that are shown before each question: as earlier turns of a chat template, "
        "else as text. They are never supervised. Texts take none.",
    )
    separator: str = Field("\n\n", min_length=1, description="What follows a shot without a chat template.")
    prefix: str = Field(
        "", description="What every answer begins with, in shots too; the model goes on from there. Not supervised."
    )
    end: Literal["auto", "token", "separator"] = Field(
        "auto",
        description="What an answer ends with without a chat template, as part of it: the tokenizer's end token or the "
        "separator; auto: the separator with shots, which end so too, else the token.",
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None,
        description="Texts at the first of which an answer that a model writes ends. Default: without a chat "
        "template, with shots or where the separator is the end, the separator and the beginning of another question; "
        "else none.",
    )

    @property
    def trained(self) -> Formatting:
        """How an example becomes text in training: without shots that are shown in evaluation only."""
        if self.shots is None or self.shots.training:
            return self
        return self.model_copy(update={"shots": None, "end": self._end})

    @property
    def _end(self) -> Literal["token", "separator"]:
        if self.end == "auto":
            return "token" if self.shots is None else "separator"
        return self.end

    @property
    def closing(self) -> str | None:
        """The text that ends an answer without a chat template; None: the end token does."""
        return self.separator if self._end == "separator" else None

    def is_plain(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether no chat template is used: none is wanted, or there is none."""
        return self.template == "plain" or getattr(tokenizer, "chat_template", None) is None

    def stops(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
        """The texts that end an answer.

        A base model goes on after its answer as its prompt goes on after a shot's, with another question. A bare prompt
        shows no such end, and a line break may be part of an answer, so nothing is assumed there.
        """
        if self.stop is not None:
            return self.stop
        if (self._end == "token" and self.shots is None) or not self.is_plain(tokenizer):
            return ()
        head = self.plain.partition("{prompt}")[0].strip()
        return (self.separator, *([f"\n{head}"] if head else []))


def dated(formatting: Formatting, tokenizer: PreTrainedTokenizerBase, day: datetime.date | None = None) -> Formatting:
    """The format with a date, if it has none and the tokenizer's chat template writes one.

    Args:
        day: the date; None: today's.
    """
    if formatting.date is not None or formatting.template == "plain" or not reads_clock(tokenizer):
        return formatting
    return formatting.model_copy(update={"date": day or datetime.date.today()})


def writes_date(formatting: Formatting, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the format's date stands in a prompt: it has one, and the chat template writes it."""
    return formatting.date is not None and not formatting.is_plain(tokenizer) and reads_clock(tokenizer)
