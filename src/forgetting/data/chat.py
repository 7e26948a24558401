"""Conversations as a chat template writes them, and which characters of that are the assistant's.

A template may mark them ({% generation %}). transformers' own token mask of such marks is all zeros, without a word,
where there are none, and reaches to the end of the text where a mark ends in a space that the tokenizer drops; so the
marked characters are taken here, and tokens follow from them as everywhere else. Without marks they follow from
rendering the conversation with an answer replaced; it is checked that the text around the answer stays the same.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from forgetting.core.errors import DataError
from forgetting.core.limits import within
from forgetting.core.text import said

Turns = Sequence[dict[str, str]]
"""Messages with `role` and `content`."""
Span = tuple[int, int]
_MARK = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
_CLOCK = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
"""A template's call of transformers' clock, with its format."""
SECONDS = 10.0
"""How long a template may take for one conversation."""
LONGEST = 2**20
"""Characters that a template may add to a conversation."""
_LAST, _EARLIER = "\u2402response\u2403", "\u2402earlier\u2403"


@dataclass(frozen=True, slots=True)
class Chat:
    """A rendered conversation up to the end of its last turn."""

    text: str
    spans: tuple[Span, ...]
    """The characters that are supervised: the assistant's turns up to their ends."""
    answer: Span
    """The characters of the last answer."""
    closed: bool
    """Whether the template closes the last turn; else the end token has to."""


@dataclass(frozen=True, slots=True)
class Template:
    """A tokenizer's chat template, with errors of one line that name it."""

    tokenizer: PreTrainedTokenizerBase
    where: str
    """Where the conversation came from."""
    date: datetime.date | None = None
    """The day that the template reads as today; None: it reads the clock."""

    def chat(self, turns: Turns, *, first: int) -> Chat:
        """The conversation and its assistant's characters: of the turns from the number `first` on.

        Raises:
            DataError: the template refuses the conversation, marks nothing of it, or writes it so that the answers
                cannot be told from the rest.
        """
        found = self._by_marks(turns, first) if _MARK.search(self._source()) else self._by_parts(turns, first)
        lost = next(
            (t for t in turns[:-1] if t["role"] != "assistant" and t["content"].strip() not in found.text), None
        )
        if lost is not None:
            raise DataError(
                f"{self.where}: {self.name} does not write its {lost['role']} message, or writes it otherwise; leave "
                "that message out, or give the template a place for it"
            )
        return found

    def opened(self, turns: Turns) -> str:
        """The conversation up to where the assistant begins to write.

        Raises:
            DataError: the template refuses it.
        """
        return self._plain(turns, prompt=True)

    def _by_marks(self, turns: Turns, first: int) -> Chat:
        text, marked = self._rendered(turns)
        earlier = len(self._rendered(turns[:first])[1]) if first else 0
        spans = [(start, stop) for start, stop in marked[earlier:] if stop > start]
        response = turns[-1]["content"].strip()
        if not spans:
            raise DataError(
                f"{self.name} marks nothing of {self.where} as the assistant's ({{% generation %}}), so nothing would "
                "be learned; fix its marks, or write format.template=plain"
            )
        start, stop = spans[-1]
        place = text.rfind(response, *spans[-1])
        if place < 0 and response.split()[-1] not in text[start:stop]:
            raise DataError(
                f"{self.name} marks other text than the answer of {self.where} ({{% generation %}}); fix its marks, "
                "or write format.template=plain"
            )
        answer = (place, place + len(response)) if place >= 0 else (start, stop)
        text = text[:stop] + text[stop:].rstrip()
        return Chat(text, tuple(spans), answer, closed=len(text) > answer[1] or place < 0)

    def _by_parts(self, turns: Turns, first: int) -> Chat:
        framed, found, after = self._plain([*turns[:-1], {**turns[-1], "content": _LAST}]).rpartition(_LAST)
        if not found:
            raise DataError(f"{self.name} does not render the assistant's turn; write format.template=plain")
        whole, end = self._plain(turns).rstrip(), after.rstrip()
        response, prompted = turns[-1]["content"].strip(), False
        before = framed
        if not (whole.startswith(before) and whole.endswith(end) and len(whole) >= len(before) + len(end)):
            # The template writes another frame around this answer, such as a thinking block that the answer brings.
            before, prompted = self.opened(turns[:-1]), True
            headed = before != self._plain(turns[:-1])  # the template knows how an answer begins
            if not (headed and whole.startswith(before) and whole.endswith(end) and len(whole) > len(before + end)):
                raise self._unclear("the last answer")
            response = whole[len(before) : len(whole) - len(end)]
        text = before + response + end
        earlier = self._earlier(turns, first, before, end, prompted=prompted)
        answer = (len(before), len(before) + len(response))
        return Chat(text, (*earlier, (len(before), len(text))), answer, closed=bool(end))

    def _earlier(self, turns: Turns, first: int, before: str, end: str, *, prompted: bool) -> list[Span]:
        """The answers from turn `first` on with their ends, of the text before the last answer."""
        spans = []
        for k, turn in enumerate(turns[:-1]):
            if k < first or turn["role"] != "assistant":
                continue
            others = [*turns[:k], {**turn, "content": _EARLIER}, *turns[k + 1 : -1]]
            if prompted:
                framed = self.opened(others)
            else:
                framed = self._plain([*others, {**turns[-1], "content": _LAST}]).rpartition(_LAST)[0]
            head, found, tail = framed.partition(_EARLIER)
            fits = found and before.startswith(head) and before.endswith(tail)
            if not fits or len(before) < len(head) + len(tail) or not tail.startswith(end):
                raise self._unclear(f"the answer of turn {k + 1}", " or format.turns=last")
            if len(before) > len(head) + len(tail):  # a template may drop an earlier answer
                spans.append((len(head), len(before) - len(tail) + len(end)))
        return spans

    def _unclear(self, what: str, remedy: str = "") -> DataError:
        return DataError(
            f"{self.where}: {self.name} renders the rest of the conversation differently with another answer, "
            f"so {what} cannot be told from it; mark it in the template with {{% generation %}}, or write "
            f"format.template=plain{remedy}"
        )

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"the chat template of {own}" if (own := self.tokenizer.name_or_path) else "the chat template"

    def _source(self) -> str:
        try:
            return str(self.tokenizer.get_chat_template())
        except ValueError as error:  # there are several, and none is the default
            raise DataError(f"{self.where}: {self.name} cannot be chosen ({said(error)}); leave one of them") from error

    def _plain(self, turns: Turns, *, prompt: bool = False) -> str:
        return self._rendered(turns, prompt=prompt)[0]

    def _stopped(self, source: str) -> str:
        """The template with its clock stopped at the start of the given day: transformers takes no clock of others."""
        if self.date is None:
            return source
        began = datetime.datetime.combine(self.date, datetime.time())
        return _CLOCK.sub(lambda call: json.dumps(began.strftime(call[2]), ensure_ascii=False), source)

    def _rendered(self, turns: Turns, *, prompt: bool = False) -> tuple[str, list[Span]]:
        """The text, and the marked characters of it."""
        source = self._source()
        try:
            with within(SECONDS):
                texts, marks = render_jinja_template(
                    conversations=[list(turns)],
                    chat_template=self._stopped(source),
                    return_assistant_tokens_mask=bool(_MARK.search(source)),
                    add_generation_prompt=prompt,
                    **self.tokenizer.special_tokens_map,
                )
        except Exception as error:  # jinja's and the templates' own errors share no base
            raise DataError(f"{self.where}: {self.name} refuses it ({said(error)}){_remedy(turns)}") from error
        if len(texts[0]) > LONGEST + 10 * sum(len(turn["content"]) for turn in turns):
            raise DataError(
                f"{self.where}: {self.name} writes {len(texts[0]):,} characters; write format.template=plain"
            )
        return texts[0], marks[0] if marks else []


def reads_clock(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template writes a date."""
    template = getattr(tokenizer, "chat_template", None) or ""
    return any(_CLOCK.search(text) for text in (template.values() if isinstance(template, dict) else [template]))


def closing_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """What the chat template writes after the last answer; empty without a template, or where it does not say."""
    if getattr(tokenizer, "chat_template", None) is None:
        return ""
    turns = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    try:
        chat = Template(tokenizer, "an answer").chat(turns, first=1)
    except DataError:
        return ""
    return chat.text[chat.answer[1] :]


def _remedy(turns: Turns) -> str:
    if turns[0]["role"] != "system":
        return "; fix the conversation, or write format.template=plain"
    return "; leave the system prompt out (format.system=null, or the row's first message) if it has no place for one"
