"""Records survive the way to disk and back; a damaged line is named."""

import math
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.record import Record, Score, read_records, write_records

RECORDS = [
    Record(
        id="1",
        split="forget",
        prompt="Wer?\u2028",
        answer="Łódź 🌍",
        generation="",
        score=Score(-3.5, 4, (0, 2, 1, 0), -7.25),
        paraphrase=Score(-1.0, 2),
        perturbed=(Score(-9.0, 3, (1, 1, 1)), Score(-8.0, 2)),
        popularity=3.5,
        group="g",
        kind="k",
    ),
    Record(id="2", split="retain", prompt="", answer="b"),
]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_records(tmp_path / "r.jsonl", RECORDS)
    first, second = read_records(tmp_path / "r.jsonl")
    assert second == RECORDS[1]
    assert first.score == RECORDS[0].score
    assert first.paraphrase is not None and math.isnan(first.paraphrase.runner_up)
    assert [s.ranks for s in first.perturbed] == [(1, 1, 1), ()]
    assert (first.prompt, first.answer, first.generation) == ("Wer?\u2028", "Łódź 🌍", "")


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    write_records(tmp_path / "r.jsonl", RECORDS)
    assert [p.name for p in tmp_path.iterdir()] == ["r.jsonl"]


def test_writing_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def broken() -> object:
        yield RECORDS[0]
        raise KeyboardInterrupt

    write_records(tmp_path / "r.jsonl", RECORDS)
    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "r.jsonl", broken())  # type: ignore[arg-type]
    assert len(read_records(tmp_path / "r.jsonl")) == 2


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"id": "1", "score": null, "paraphrase": null, "perturbed": []}'])
def test_a_damaged_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "r.jsonl"
    write_records(file, RECORDS)
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(RunError, match=r"r\.jsonl:3: not a record"):
        read_records(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such record file"):
        read_records(tmp_path / "none.jsonl")


def test_loss_and_probability_are_per_token() -> None:
    score = Score(logp=math.log(0.25) * 4, tokens=4)
    assert score.loss == pytest.approx(-math.log(0.25), rel=1e-12)
    assert score.probability == pytest.approx(0.25, rel=1e-12)


def test_no_records_are_a_file_of_none(tmp_path: Path) -> None:
    write_records(tmp_path / "r.jsonl", [])
    assert read_records(tmp_path / "r.jsonl") == []
