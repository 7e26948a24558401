"""Every question to be forgotten gets one other answer, or the row that cannot is named."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message, content_id
from forgetting.data.alternates import REFUSALS, load_alternates, paired, refusals, repeated
from forgetting.data.encode import Encoded
from forgetting.data.source import Source
from tests.golden import REAL_DATA, needs

TOFU = REAL_DATA / "tofu" / "idontknow.jsonl"


def asked(prompt: str, response: str, **more: object) -> Example:
    return Example(id=content_id(prompt, response), prompt=prompt, response=response, **more)  # type: ignore[arg-type]


FORGET = [
    asked(f"Who wrote book {i}?", f"Author {i}.", where=f"f.jsonl:{i + 1}", weight=1 + i, perturbed=("x",))
    for i in range(6)
]
COUNTERFACTUALS = [asked(f" who wrote  BOOK {i}?", f"Nobody {i}.", where=f"a.jsonl:{i}") for i in reversed(range(8))]


def test_counterfactuals_are_found_by_their_question() -> None:
    pairs = paired(FORGET, COUNTERFACTUALS, seed=0)
    assert [p.response for p in pairs] == [f"Nobody {i}." for i in range(6)]
    for pair, example in zip(pairs, FORGET, strict=True):
        assert (pair.prompt, pair.weight, pair.form) == (example.prompt, example.weight, example.form)
        assert pair.id == f"{example.id}/alternate" and not pair.perturbed
        assert pair.where.startswith("a.jsonl:")


def test_refusals_are_drawn_by_the_seed() -> None:
    forget = [asked(f"Who is {i}?", f"{i}.") for i in range(400)]
    drawn = [p.response for p in paired(forget, refusals(), seed=1)]
    assert drawn == [p.response for p in paired(forget, refusals(), seed=1)]
    assert drawn != [p.response for p in paired(forget, refusals(), seed=2)]
    counts = Counter(drawn)
    assert set(counts) == set(REFUSALS) and max(counts.values()) < 3 * 400 / len(REFUSALS)


def test_questions_without_a_counterfactual_are_refused() -> None:
    pairs = paired(FORGET, [*COUNTERFACTUALS[-2:], *refusals(["No."])], seed=0)
    assert [p.response for p in pairs] == ["Nobody 0.", "Nobody 1.", *["No."] * 4]


def test_all_alternates_of_a_question_are_used_and_its_row_stands_beside_each() -> None:
    forget = [asked("Who?", "Me"), asked("Where?", "Here"), asked("When?", "Now")]
    alternates = [asked("Who?", "Alt 0"), asked("Where?", "There"), asked("who? ", "Alt 1"), *refusals(["No."])]
    pairs = paired(forget, alternates, seed=0)
    assert [(p.prompt, p.response) for p in pairs] == [
        ("Who?", "Alt 0"),
        ("Who?", "Alt 1"),
        ("Where?", "There"),
        ("When?", "No."),
    ]
    who, where, when = (e.id for e in forget)
    ends = [(who, ""), (who, "#2"), (where, ""), (when, "")]
    assert [p.id for p in pairs] == [f"{own}/alternate{end}" for own, end in ends]
    rows, others = ([Encoded(e.id, (1, 2), (0.0, 1.0)) for e in some] for some in (forget, pairs))
    assert [row.key for row in repeated(rows, others)] == [who, who, where, when]


def test_a_conversation_is_told_apart_by_its_earlier_turns() -> None:
    turns = [(Message("user", name), Message("assistant", "Yes?")) for name in ("Ada", "Bob")]
    forget = [asked("Why?", f"Because {i}", context=turns[i]) for i in range(2)]
    alternates = [asked("Why?", f"No reason {i}", context=turns[i]) for i in (1, 0)]
    pairs = paired(forget, alternates, 0)
    assert [(p.response, p.context) for p in pairs] == [(f"No reason {i}", turns[i]) for i in range(2)]


def test_a_question_without_an_alternate_is_named() -> None:
    with pytest.raises(DataError, match=r"f\.jsonl:3: its question stands in no row of data\.alternate; add it"):
        paired(FORGET, [a for a in COUNTERFACTUALS if "2" not in a.prompt], seed=0)


def test_a_document_has_no_alternate() -> None:
    document = Example(id="d", response="Once upon a time", form="text", where="d.jsonl:4")
    with pytest.raises(DataError, match=r"d\.jsonl:4: is a document, and an alternate answers a question"):
        paired([document], refusals(), seed=0)


@pytest.mark.parametrize("where", ["a.jsonl:9", ""])
def test_an_alternate_that_says_what_is_to_be_forgotten_is_an_error(where: str) -> None:
    repeating = [*refusals(["No."]), replace(asked("", "author  4. "), where=where)]
    for seed in range(5):  # whichever would be drawn
        with pytest.raises(DataError, match=r"f\.jsonl:5: what is to be forgotten is also its alternate answer \("):
            paired(FORGET, repeating, seed)


def test_a_file_of_answers_one_a_line(tmp_path: Path) -> None:
    for name in ("no.txt", "no.jsonl"):
        file = tmp_path / name
        file.write_text("\ufeffI don't know.\n\n  Who knows? \nI don't know.\n")
        found = load_alternates(Source(path=str(file)))
        assert [(e.prompt, e.response) for e in found] == [("", "I don't know."), ("", "Who knows?")]
        assert [e.where for e in found][1] == f"{file}:3"
        assert len(load_alternates(Source(path=str(file), limit=1))) == 1


def test_rows_with_and_without_a_question(tmp_path: Path) -> None:
    rows = [{"question": "Who?", "answer": "Nobody"}, {"answer": "No."}, {"text": "No idea."}]
    rows.append({"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Nowhere"}]})
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_alternates(Source(path=str(file)))
    assert [(e.prompt, e.response) for e in found] == [
        ("Who?", "Nobody"),
        ("", "No."),
        ("", "No idea."),
        ("Where?", "Nowhere"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b" \n\n", r"a\.txt: holds no examples"),
        ("a.jsonl", b"\n", r"a\.jsonl: holds no examples"),
        ("a.jsonl", b'{"answer": "No."}\nI do not know\n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b': {"answer": "No."}\n{"answer": "Never."}\n', r"a\.jsonl:1: not JSON"),
        ("a.jsonl", b'"No."\n', r"a\.jsonl:1: is a str, not an object"),
        ("a.jsonl", b'{"reply": "No."}\n', r"a\.jsonl:1: no column for the text"),
        ("a.txt", b"caf\xe9\n", r"a\.txt: not UTF-8 text \(byte 3\)"),
        ("a.txt", None, r"a\.txt: cannot be read"),
        ("a.jsonl", None, r"a\.jsonl: no such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_alternates(Source(path=str(tmp_path / name)))


def test_the_package_s_refusals() -> None:
    assert len({r.casefold() for r in REFUSALS}) == len(refusals()) == 20
    assert all(not e.prompt and e.response.endswith(".") for e in refusals())


@needs(TOFU)
def test_tofu_s_list_of_refusals_is_read() -> None:
    found = load_alternates(Source(path=str(TOFU)))
    assert len(found) > 90 and found[0].response == "I'm not certain about that."
    assert len(paired(FORGET, found, seed=0)) == 6
