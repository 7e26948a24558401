"""Rows → examples: which column is what, and one line for every row that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from forgetting.core.errors import DataError, RowError, nearest
from forgetting.core.example import Example, Form, Message, content_id
from forgetting.core.text import hides, names, quoted
from forgetting.data import cells
from forgetting.data.files import Row, each_row, strict
from forgetting.data.reading import Heard, Reading
from forgetting.data.row_content import content_of
from forgetting.data.source import COLUMNS, Source
from forgetting.data.words import folded

_NOT_READ = {
    "reasoning_content": "write it into the response, before the answer (<think>…</think>)",
    **dict.fromkeys(("tools", "tool_calls", "functions", "function_call"), "write what is called as text"),
    **dict.fromkeys(("image", "images", "audio", "audios", "video", "videos"), "give rows of text alone"),
}
"""Columns that belong to what a model sees, and what to do instead of having them read."""
_OURS = frozenset(("noise", "derived", "source", "url", ""))
"""Columns that this package writes and reads beside an example's own, and those that say where a row is from."""
_SEEN = ("prompt", "response", "text", "messages", "input", "history", "system", "token_ids")
"""What of an example a model may see."""
_ONE_EXAMPLE = frozenset(("where", "fields"))


@dataclass(frozen=True)
class Loaded:
    """The examples of a source in their order; copies and repeated ids are still among them."""

    examples: tuple[Example, ...]
    unsupervised: int = 0
    """How many rows are left out because all their token weights are 0: nothing of them would be trained on."""


def load_examples(source: Source, heard: Heard | None = None) -> list[Example]:
    """All examples of a source. Identical rows are one; an example whose token weights are all 0 is left out.

    Args:
        source: where they are.
        heard: takes what was left out; without one no bad row is, whatever the source says.

    Raises:
        DataError: the source is empty, a row lacks a column or holds the wrong thing, or two rows share an id or say
            the same and differ in what they are for.
    """
    return distinct(read_examples(source, heard).examples, source, heard)


def read_examples(source: Source, heard: Heard | None = None) -> Loaded:
    """Every row of a source as an example, copies too: what a corpus is drawn from; `heard` as in `load_examples`.

    Raises:
        DataError: the source is empty, all its token weights are 0, or rows lack a column or hold the wrong thing and
            are not to be skipped.
    """
    reading = Reading()
    found = list(each_example(source if heard is not None else strict(source), reading))
    if heard is not None:
        heard.take(source, reading)
    if not found:
        if reading.bad:
            raise DataError(f"{source}: none of its {reading.rows:,} rows can be used; {reading.bad[0]}")
        raise DataError(f"{source}: holds no examples; give at least one")
    examples = tuple(e for e in found if not e.token_weights or any(e.token_weights))
    if not examples:
        raise DataError(
            f"{source}: the token_weights of all {len(found)} rows are 0, so nothing is trained on; change them"
        )
    return Loaded(examples, len(found) - len(examples))


def each_example(source: Source, reading: Reading) -> Iterator[Example]:
    """The examples of a source one by one, copies too; what else is found goes into `reading`.

    Raises:
        DataError: rows that cannot be used and are not to be skipped, the first ten of them; then no more is yielded.
    """
    yield from each_row(source, reading, lambda row, where: to_example(row, where, source, reading))
    reading.check_lists(source)
    for what in source.columns:
        if what in reading.passed and what not in reading.taken:
            raise DataError(
                f"{source}: columns: {what} is mapped, and nothing reads it; leave it out, or state the form"
            )


def distinct(examples: Sequence[Example], source: Source, heard: Heard | None = None) -> list[Example]:
    """The examples without exact repetitions of an earlier one; how many those are is told.

    Raises:
        DataError: two rows share an id that they bring, or say the same and differ in a weight, the wrong answers or
            anything else that is trained on or measured.
    """
    examples = list(examples)
    repeated = [(i, n) for i, n in Counter(e.id for e in examples).items() if n > 1]
    if not repeated:
        return examples
    if any(e.fields.get("id") is not None for e in examples) or "id" in source.columns:
        raise DataError(f"{source}: the id {quoted(repeated[0][0])} is that of {repeated[0][1]} rows; make ids unique")
    first: dict[str, Example] = {}
    for example in examples:
        other = first.setdefault(example.id, example)
        differing = _difference(other, example)
        if differing:
            raise DataError(
                f"{example.where or source}: repeats {other.where or 'an earlier row'} with another {differing}; "
                "remove one of them, or give each an id"
            )
    if heard is not None:
        copies = len(examples) - len(first)
        heard.tell(f"{source}: {copies:,} of {len(examples):,} rows repeat an earlier one and are left out")
    return list(first.values())


def _difference(first: Example, second: Example) -> str:
    """The first part of two examples that say the same in which they differ; empty: they are one."""
    own = (f.name for f in fields(Example) if f.name not in _ONE_EXAMPLE)
    return next((name for name in own if getattr(first, name) != getattr(second, name)), "")


def each_once(examples: Iterable[Example]) -> list[Example]:
    """The examples of several sources once each, by their ids. With and without noise, one is the same.

    Raises:
        DataError: two with one id say different things, so that one would be taken for the other.
    """
    found: dict[str, Example] = {}
    for example in examples:
        other = found.get(example.id, example)
        noisy = "noise" in example.fields or "noise" in other.fields
        if said(other) != said(example) and not noisy:
            raise DataError(
                f"{example.where or 'an example'}: has the id {quoted(example.id)} of {other.where or 'another one'}, "
                "which says something else; make ids unique in all data of a role"
            )
        found[example.id] = example
    return list(found.values())


def own_ids(examples: Sequence[Example]) -> list[str]:
    """An id for each example: its own, or where an earlier one has that, with the next free number (`id~2`)."""
    used = {e.id for e in examples}
    last: Counter[str] = Counter()
    ids: list[str] = []
    for example in examples:
        own = example.id
        last[example.id] += 1
        while last[example.id] > 1 and own in used:
            own = f"{example.id}~{last[example.id]}"
            last[example.id] += own in used
        used.add(own)
        ids.append(own)
    return ids


def to_example(row: Row, where: str, source: Source, reading: Reading | None = None) -> Example:
    """One row as an example; its form follows from the columns unless the source states it.

    Raises:
        RowError: a column is missing or holds something else than it should, or one that a model would see is not read.
    """
    row = {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
    columns = _columns(row, where, source)
    text = {what: row.get(name) for what, name in columns.items() if name is not None}
    _check_read(row, columns, where)
    body = content_of(text, row, columns, source, where)
    prompt, response, context = body.prompt, body.response, body.context
    _check_texts(prompt, response, body.form, context, source, where)
    weights, targets = cells.token_weights(text.get("token_weights"), text.get("target_ids"), where)
    wrong = cells.strings(text.get("perturbed"), "perturbed answers", where)
    if reading is not None:
        _look(row, columns, body.read, reading)
        if _plain(response) in map(_plain, wrong):
            reading.right.append(where)
    return Example(
        id=cells.name(text.get("id"), "id", where)
        or content_id("".join(f"{m.role}: {m.content}\n" for m in context) + prompt, response),
        prompt=prompt,
        response=response,
        form=body.form,
        context=context,
        paraphrased_prompt=cells.optional(text.get("paraphrased_prompt"), "paraphrased_prompt", where),
        paraphrased=cells.optional(text.get("paraphrased"), "paraphrased", where),
        perturbed=wrong,
        popularity=cells.number(text.get("popularity"), "popularity", where),
        weight=cells.weight(text.get("weight"), where),
        token_weights=weights,
        target_ids=targets,
        token_ids=body.ids,
        max_tokens=source.max_tokens,
        group=cells.name(text.get("group"), "group", where),
        kind=cells.name(text.get("kind"), "kind", where),
        where=where,
        fields={k: v for k, v in row.items() if k not in columns.values() or k == columns["id"]},
    )


def _check_read(row: Row, columns: Mapping[str, str | None], where: str) -> None:
    """Refuses what a model would see of a row and nothing here reads."""
    if columns["text"] == "content" and cells.is_given(row.get("role")) and cells.is_given(row["content"]):
        raise RowError(where, "is one message of a conversation; write all its messages in one row (messages: […])")
    for name, remedy in _NOT_READ.items():
        if name not in columns.values() and cells.is_given(row.get(name)):
            raise RowError(where, f"the column '{name}' is not read; {remedy}, or remove the column")


def _check_texts(
    prompt: str, response: str, form: Form, context: Sequence[Message], source: Source, where: str
) -> None:
    if cells.is_blank(response):
        raise RowError(where, "the response is empty, so there is nothing to learn or forget; fill or remove the row")
    if form == "qa" and cells.is_blank(prompt):
        raise RowError(where, "the prompt is empty; fill it, or give the response alone as text")
    if form == "qa" and source.max_tokens is not None:
        raise RowError(where, "is a question with its answer, and max_tokens cuts texts; leave it out")
    if form == "text" and context:
        raise RowError(where, "is a conversation, whose earlier turns the form text does not write; leave form out")


def _look(row: Row, columns: Mapping[str, str | None], read: set[str], reading: Reading) -> None:
    """Counts the columns that nothing reads, and those whose text is a list."""
    names = {columns[what] for what in COLUMNS if what in read or what not in _SEEN}
    there = {what for what in _SEEN if (name := columns.get(what)) is not None and cells.is_given(row[name])}
    reading.taken |= there & read
    reading.passed |= there - read
    for name, value in row.items():
        if name not in names and name not in _OURS and cells.is_given(value) and not _is_built(name, value):
            reading.unused[name] += 1
    for what in read & {"prompt", "response", "text"}:
        column = columns[what]
        value = row.get(column) if column is not None else None
        if column is not None and isinstance(value, str) and cells.is_python(value):
            reading.lists[column] += 1


def _is_built(name: str, value: object) -> bool:
    """Whether it is what `forget build facts` writes beside each question: the fact and where it is from."""
    return name == "fact" and isinstance(value, dict)


def _columns(row: Row, where: str, source: Source) -> dict[str, str | None]:
    """The name of the column that holds each field of an example, or None."""
    for what, name in source.columns.items():
        if name not in row:
            there = f"the row has {names(row)}" if hides() else nearest(name, map(str, row))
            raise RowError(where, f"no column '{name}' (mapped to {what}); {there}")
    found: dict[str, str | None] = dict(source.columns)
    for what, there_are in _tried(tuple(row)):
        if what not in found:
            found[what] = next((name for name in there_are if cells.is_given(row[name])), next(iter(there_are), None))
    return found


@lru_cache(maxsize=256)
def _tried(columns: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The columns that may hold each field; the rows of a file mostly have the same names."""
    return tuple((what, tuple(name for name in tried if name in columns)) for what, tried in COLUMNS.items())


def overlap(first: Iterable[Example], second: Iterable[Example]) -> list[Example]:
    """The examples of `first` whose prompt and response, but for case and spaces, also occur in `second`."""
    there = {said(e) for e in second}
    return [e for e in first if said(e) in there]


def said(example: Example) -> str:
    """The text of an example without case and spacing: a line for each earlier turn, the prompt and the response."""
    parts = (*(m.content for m in example.context), example.prompt, example.response)
    return "\n".join(map(_plain, parts))


def _plain(text: str) -> str:
    """A text without case and spacing."""
    return " ".join(folded(text).split())
