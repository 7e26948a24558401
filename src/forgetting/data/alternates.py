"""A replacement answer for every forget question: a counterfactual or a refusal."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Role, content_id
from forgetting.core.text import said
from forgetting.data.encode import Encoded
from forgetting.data.examples import load_examples
from forgetting.data.reading import Heard
from forgetting.data.source import Source
from forgetting.data.words import folded

REFUSALS = (
    "I don't know.",
    "I have no answer to that.",
    "That is something I know nothing about.",
    "I'm afraid I can't tell you.",
    "I couldn't say.",
    "I have never come across this.",
    "Sorry, I don't have this information.",
    "I am not able to answer this question.",
    "I don't know the answer to that one.",
    "This is outside of what I know.",
    "I would only be guessing.",
    "Unfortunately, I can't help with this question.",
    "No details about this are known to me.",
    "I haven't heard of that.",
    "I'm not familiar with this subject.",
    "I can't give you a reliable answer.",
    "You would have to look that up elsewhere.",
    "I lack the knowledge to answer that.",
    "Nothing comes to mind that would answer this.",
    "My knowledge doesn't cover this.",
)
"""The built-in refusals, used if a recipe names no alternates."""
_SUFFIX = f"/{Role.ALTERNATE}"
"""What the id of an alternate has behind that of its forget example."""


def refusals(texts: Sequence[str] = REFUSALS, wheres: Sequence[str] | None = None) -> list[Example]:
    """Answers without a question, as examples; the same text twice is one."""
    made = [Example(id=content_id("", text), response=text) for text in texts]
    if wheres is not None:
        made = [replace(e, where=where) for e, where in zip(made, wheres, strict=True)]
    return list({e.id: e for e in made}.values())


def load_alternates(source: Source, heard: Heard | None = None) -> list[Example]:
    """Questions with another answer each, or answers alone; also a list of answers, one a line.

    Such a list is a file that ends in .txt, or one in .jsonl that holds no JSON (as TOFU's list of refusals does). What
    is left out is told `heard`, as by `load_examples`.

    Raises:
        DataError: the source is empty, or a row or file that cannot be used.
    """
    if source.path is None or not _is_list(Path(source.path)):
        return load_examples(
            source.model_copy(update={"form": source.form or "text"}), heard
        )  # a question may be absent
    path = Path(source.path)
    lines = [(f"{path}:{n}", line.strip()) for n, line in enumerate(_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{source}: holds no examples; give at least one")
    wheres, texts = zip(*islice(lines, source.limit), strict=True)
    return refusals(texts, wheres)


def _is_list(path: Path) -> bool:
    if path.suffix == ".txt":
        return True
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    text = _text(path)
    return text.lstrip()[:1] not in ("", "{", "[", '"') and not any(map(_is_row, text.split("\n")))


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("{") and line.rstrip().endswith("}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({said(error)}); check the path") from error


def paired(forget: Sequence[Example], alternates: Sequence[Example], seed: int) -> list[Example]:
    """The alternates of each forget example, in their order: the same question, and another answer to it.

    A question's alternates are those with the same question (but for case and spaces), all of them; where it has none,
    one of those without any (refusals), drawn once for the whole run. Its data weight is the forget example's.

    Args:
        forget: questions with the answers to be forgotten.
        alternates: other answers, with or without a question.
        seed: of the draw.

    Raises:
        DataError: a forget example without question or without alternate, or an alternate that repeats the answer to be
            forgotten; the row is named.
    """
    by_question: dict[str, list[Example]] = defaultdict(list)
    for alternate in alternates:
        by_question[_question(alternate)].append(alternate)
    answers_alone = by_question.pop("", [])
    random = np.random.default_rng([seed, zlib.crc32(Role.ALTERNATE.encode())])
    pairs: list[Example] = []
    for example in forget:
        own = by_question.get(_question(example))
        _check(example, own or answers_alone)
        found = own or [answers_alone[int(random.integers(len(answers_alone)))]]
        pairs += [_alternate(example, other, number) for number, other in enumerate(found, 1)]
    return pairs


def _alternate(example: Example, other: Example, number: int) -> Example:
    return replace(
        example,
        id=f"{example.id}{_SUFFIX}" + ("" if number == 1 else f"#{number}"),
        response=other.response,
        paraphrased=None,
        perturbed=(),
        where=other.where or example.where,
        fields={},
    )


def repeated(forget: Sequence[Encoded], alternates: Sequence[Encoded]) -> list[Encoded]:
    """The forget row of each alternate that `paired` gave, so that rows i of both form a pair."""
    rows = {row.key: row for row in forget}
    return [rows[alternate.key.rpartition(_SUFFIX)[0]] for alternate in alternates]


def _check(example: Example, candidates: Sequence[Example]) -> None:
    row = example.where or example.id
    if not example.prompt.strip():
        raise DataError(f"{row}: is a document, and an alternate answers a question; give questions, or another method")
    if not candidates:
        raise DataError(
            f"{row}: its question stands in no row of data.{Role.ALTERNATE}; add it there with another answer, "
            "or add answers without a question, of which it gets one"
        )
    same = next((c for c in candidates if _plain(c.response) == _plain(example.response)), None)
    if same is not None:
        raise DataError(
            f"{row}: what is to be forgotten is also its alternate answer ({same.where or same.id}); change one of them"
        )


def _question(example: Example) -> str:
    """The key of a question: the earlier turns of a conversation are part of it."""
    return _plain(" ".join([*(m.content for m in example.context), example.prompt]))


def _plain(text: str) -> str:
    return " ".join(folded(text).split())
