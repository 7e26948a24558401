"""What must be known before a sweep's table is trusted is said, and a garbled file is one line."""

from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.report.sweep.results import cautions
from forgetting.runs.sweep import SweepResults
from tests.report.sweeps import run, sweep_results, write_sweep


def test_runs_that_did_not_go_to_their_end_are_named_with_the_reason() -> None:
    runs = [
        run("GD", "0", {"forget/ma": 0.1}),
        run("GD", "1", status="failed", error="rows.jsonl:3: no answer"),
        run("GD", "2", {"forget/ma": 0.1}, status="collapsed", message="step 4: not finite"),
        run("GD", "3", status="not run"),
    ]
    assert cautions(sweep_results(runs)) == [
        "GD-1 failed: rows.jsonl:3: no answer",
        "GD-2 collapsed: step 4: not finite",
        "1 not run: GD-3",
    ]


def test_runs_that_differ_in_more_than_the_grid_are_told() -> None:
    def one(seed: str, threads: int, digest: str, source: str = "mine.jsonl") -> dict:
        facts = {"forget": {"source": source, "sha256": digest}}
        return run("GD", seed, {"forget/ma": 0.1}, environment={"torch": "2.13", "threads": threads}, data=facts)

    assert cautions(sweep_results([one("0", 1, "a"), one("1", 1, "a")])) == []
    assert cautions(sweep_results([one("0", 1, "a"), one("1", 1, "b", "other.jsonl")])) == []
    assert cautions(sweep_results([one("0", 1, "a"), one("1", 2, "b")])) == [
        "runs differ in their threads: 1 and 2",
        "the forget data (mine.jsonl) changed between runs",
    ]


def test_a_column_that_nothing_measures_is_told_with_the_nearest() -> None:
    results = sweep_results([run("GD", "0", {"forget/el_10": 0.1})], columns=["forget/el10"])
    assert cautions(results) == ["column 'forget/el10' is measured by no run; did you mean 'forget/el_10'?"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has no sweep.json"),
        ("{", "not readable as JSON"),
        ("[]", "holds a list, not the results"),
        ('{"format": 9}', "format is 9"),
        ('{"format": 1, "name": 3}', "sweep.json: "),
    ],
)
def test_a_folder_without_a_whole_sweep_is_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(RunError, match=said) as caught:
        SweepResults.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "s", [run("GD", "0", {"forget/ma": 0.1}, success=True, epochs=2.0)])
    read = SweepResults.load(folder).runs[0]
    assert (read.point, read.success, read.epochs) == ({"method": "GD", "seed": "0"}, True, 2.0)
