"""Where nothing was trained there is no verdict, but what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forgetting.report.verdict.measured import MEASURED, measured
from forgetting.report.verdict.several_runs import comparison
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from tests.report.fixtures import IHL_RUN, NPO_RUN, write_run


def evaluated(folder: Path, story: object) -> Results:
    run = Results.load(write_run(folder, story))  # type: ignore[arg-type]
    return replace(run, evaluated=True, stages=(), evaluations=(run.after,))


def test_a_model_that_was_measured_gets_its_numbers_and_no_judgement(tmp_path: Path) -> None:
    found = verdict(evaluated(tmp_path / "a", IHL_RUN))
    assert (found.headline, found.tone, found.failed) == (MEASURED, "open", ())
    (finding,) = found.findings
    assert finding.tone == "note" and "exact match 0." in finding.text and "(n 78)" in finding.text


def test_several_are_said_side_by_side_and_not_ranked(tmp_path: Path) -> None:
    runs = [evaluated(tmp_path / "a", IHL_RUN), evaluated(tmp_path / "b", NPO_RUN)]
    found = comparison(runs)
    assert found.headline == MEASURED and len(found.findings) >= 2
    assert not any("closest" in f.text or "most" in f.topic for f in found.findings)


def test_a_measure_without_a_value_is_not_said(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "a", IHL_RUN)
    empty = replace(run, evaluations=(replace(run.after, measures=()),))
    assert [f.text for f in measured([empty])] == ["No measure in front has a value."]
