"""Run folders are loaded typed; a broken one is named in one line."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.core.subset import Subset
from forgetting.runs.results import Results, labels
from tests.report.fixtures import GA_RUN, IHL, IHL_RUN, Story, write_run


def edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    file = folder / "results.json"
    raw = json.loads(file.read_text())
    edit(raw)
    file.write_text(json.dumps(raw))
    return folder


def test_a_run_is_loaded_with_its_points(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", IHL_RUN))
    assert (run.name, run.status, run.suite) == ("ihl", "complete", "lab")
    assert [e.point for e in run.evaluations] == ["before", "oracle", *["epoch"] * 4, "after"]
    assert run.after is not None
    measure = run.after.measure("forget/probability")
    assert measure is not None
    assert measure.value == 0.19
    assert measure.count == 78
    assert run.cost.trainable_parameters == 55_296
    assert len(run.history("unlearn")) == 60
    assert run.history("unlearn")[4].step == 5
    assert set(run.history("unlearn")[4].terms) == {"forget", "retain"}
    assert len(run.records(run.after)) == 120
    assert run.records(run.evaluations[2]) == []


def test_a_value_that_is_not_finite_is_missing_with_a_reason(tmp_path: Path) -> None:
    def spoil(raw: dict[str, Any]) -> None:
        raw["evaluations"][-1]["measures"][0]["value"] = float("nan")
        raw["evaluations"][-1]["measures"][1]["high"] = float("inf")

    run = Results.load(edited(write_run(tmp_path / "a", IHL_RUN), spoil))
    assert run.after is not None
    first, second = run.after.measures[:2]
    assert (first.value, first.low, first.high) == (None, None, None)
    assert first.reason == "the value is nan, not a finite number"
    assert second.value == IHL["forget/exact_match"]
    assert (second.low, second.high) == (None, None)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone: no such folder"):
        Results.load(tmp_path / "gone")


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run and holds none"):
        Results.load(tmp_path)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(RunError, match=r"has no results\.json; the run has not finished"):
        Results.load(tmp_path)


def test_a_folder_of_runs_says_what_it_is_and_names_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, IHL_RUN)
    with pytest.raises(RunError, match=r": is a folder of 2 runs; name one of them: one, two$"):
        Results.load(tmp_path)
    (tmp_path / "sweep.json").touch()
    with pytest.raises(
        RunError, match=r": is a sweep; its report is .*report\.html; else name one of its runs: one, two$"
    ):
        Results.load(tmp_path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    file = write_run(tmp_path / "a", IHL_RUN) / "results.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(RunError, match=r"results\.json: not readable as JSON"):
        Results.load(tmp_path / "a")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[1, 2]")
    with pytest.raises(RunError, match="holds a list, not the results of a run"):
        Results.load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda raw: raw.update(format=2), "format is 2, this version reads 1"),
        (lambda raw: raw.pop("status"), r"results\.json: status: field required"),
        (lambda raw: raw.update(status="fine"), "status: input should be 'complete'"),
        (lambda raw: raw["evaluations"][0].pop("point"), r"evaluations\.0\.point: field required"),
        (lambda raw: raw["evaluations"][0]["measures"][1].update(value="high"), r"evaluations\.0\.measures\.1\.value"),
    ],
)
def test_a_wrong_key_is_named_in_one_line(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = edited(write_run(tmp_path / "a", IHL_RUN), edit)
    with pytest.raises(RunError, match=message) as error:
        Results.load(folder)
    assert "\n" not in str(error.value)


def test_a_garbled_history_line_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", IHL_RUN)
    file = folder / "stages" / "unlearn" / "history.jsonl"
    file.write_text(file.read_text() + '{"step": 61, "los')
    with pytest.raises(RunError, match=re.escape("history.jsonl:61: not a training step")):
        Results.load(folder).history("unlearn")


def test_records_outside_the_run_folder_are_refused(tmp_path: Path) -> None:
    folder = edited(
        write_run(tmp_path / "a", IHL_RUN), lambda raw: raw["evaluations"][0].update(records="../../secret.jsonl")
    )
    run = Results.load(folder)
    with pytest.raises(RunError, match="outside the run folder"):
        run.records(run.before)


def test_a_run_that_ended_early_has_no_end(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "a", Story(name="x", after=None, before=None, oracle=None, epochs=())))
    assert (run.before, run.oracle_evaluation, run.after) == (None, None, None)
    assert run.records(run.after) == []
    assert run.history("never") == []


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [Results.load(write_run(tmp_path / d, s)) for d, s in (("a", IHL_RUN), ("b", IHL_RUN), ("c", GA_RUN))]
    assert labels(runs) == ["ihl (a)", "ihl (b)", "ga"]
    assert labels([runs[0], runs[0]]) == ["ihl (a) #1", "ihl (a) #2"]


@pytest.mark.parametrize("several", [False, True])
def test_a_set_of_an_earlier_run_is_read_as_earlier_versions_wrote_it(tmp_path: Path, several: bool) -> None:
    one = {"of": "forget", "ids": ["a", "b"]}
    written = {"march": [one] if several else one}
    folder = edited(write_run(tmp_path / "run", IHL_RUN), lambda raw: raw.update(earlier_sets=written))
    assert Results.load(folder).earlier_sets == {"march": (Subset(of="forget", ids=("a", "b")),)}
