"""Answers side by side, chosen by a stated rule."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.record import Record, read_records, write_records
from forgetting.report.run.answers import FOLDED, LONGEST, SHOWN, compare_answers, match
from forgetting.runs.results import Results
from tests.report.fixtures import GA_RUN, IHL_RUN, NPO_RUN, write_run


@pytest.mark.parametrize(
    ("answer", "generation", "expected"),
    [
        ("Brennmouth", " brennmouth. ", "right"),
        ("the river Orrin", "the river Esk", "partly"),
        ("the river Orrin", "a potter", "other"),
        ("ברלין", "ברלין", "right"),
        ("ברלין", "פריז", "other"),
        ("Brennmouth", "", "other"),
    ],
)
def test_matches(answer: str, generation: str, expected: str) -> None:
    assert match(answer, generation) == expected


def test_columns_are_the_start_each_run_and_the_oracle(tmp_path: Path) -> None:
    runs = [Results.load(write_run(tmp_path / s.name, s)) for s in (IHL_RUN, NPO_RUN)]
    answers = compare_answers(runs)
    assert [(c.title, c.series) for c in answers.columns] == [
        ("before", None),
        ("ihl", 0),
        ("npo + retain", 1),
        ("oracle", None),
    ]
    assert [b.title for b in answers.blocks] == ["Forget", "Retain", "Utility and others"]


def test_changed_answers_come_first_and_the_order_is_repeatable(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", IHL_RUN))
    retain = compare_answers([run]).blocks[1]
    flags = [q.changed for q in (*retain.shown, *retain.folded)]
    assert 0 < retain.changed < retain.total == 40
    assert flags == sorted(flags, reverse=True)
    assert sum(flags) == retain.changed
    assert len(retain.shown) == SHOWN
    assert compare_answers([run]).blocks[1] == retain
    for question in retain.shown:
        before, after, _ = question.answers
        assert before is not None
        assert after is not None
        assert question.changed == (before.match != after.match)


def test_a_large_split_is_cut_and_counted(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", replace(IHL_RUN, questions=200)))
    block = compare_answers([run]).blocks[0]
    assert (len(block.shown), len(block.folded), block.total) == (SHOWN, FOLDED, 200)


def test_runs_without_records_leave_no_blocks(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", replace(GA_RUN, questions=0)))
    assert compare_answers([run]).blocks == ()


def test_a_long_answer_is_cut_with_its_length_said(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", IHL_RUN))
    file = run.folder / "records" / "after.jsonl"
    long = Record(id="long", split="forget", prompt="?", answer="a", generation="z" * 5000)
    write_records(file, [long, *read_records(file)])
    shown = [a.text for b in compare_answers([run]).blocks for q in (*b.shown, *b.folded) for a in q.answers if a]
    (text,) = [t for t in shown if t and t.startswith("zzz")]
    assert text == "z" * LONGEST + "… [5\u202f000 characters]"


def test_an_example_without_a_generation_shows_its_probability(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", IHL_RUN))
    utility = compare_answers([run]).blocks[2]
    silent = [a for q in (*utility.shown, *utility.folded) for a in q.answers if a and a.text is None]
    assert silent
    assert all(a.match is None and a.probability in {"0.900", "0.030"} for a in silent)
