"""A run that is not at its end: that is said first, and nothing is judged."""

from __future__ import annotations

from pathlib import Path

from forgetting.core.locks import locked
from forgetting.report.run.page import build_report, page_of
from forgetting.report.table import main_table
from forgetting.report.verdict.several_runs import comparison
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results
from forgetting.runs.unfinished import results_so_far
from tests.report.fixtures import IHL_RUN, write_run
from tests.report.run.test_page import Page
from tests.runs.going import begun, ended, going, measures

SAID = "Not finished: stage unlearn, step 34 of 60; it goes on. Nothing is judged before the end."


def test_where_it_is_comes_first_and_then_what_was_measured_last(tmp_path: Path) -> None:
    with locked(going(tmp_path / "run")):
        found = verdict(results_so_far(tmp_path / "run"))
    assert (found.headline, found.failed, found.tone) == (SAID, (SAID,), "open")
    assert [finding.topic for finding in found.findings] == [
        "Forget set so far",
        "Retain set so far",
        "Utility so far",
    ][:2]
    assert found.findings[0].text == (
        "Forget · probability: before 0.900 (0.850–0.950) and at step 24 of unlearn 0.660 (0.610–0.710)."
    )


def test_one_that_was_killed_says_so(tmp_path: Path) -> None:
    found = verdict(results_so_far(going(tmp_path / "run")))
    assert "no process runs it: start it again to resume it" in found.headline


def test_the_end_of_an_earlier_stage_is_not_the_end_of_the_run(tmp_path: Path) -> None:
    run = RunFolder(going(tmp_path / "run", stages=("learn", "unlearn"), steps=60))
    ended(run, "learn", 60)
    run.evaluations.write(Evaluation(point="after", stage="learn", step=60, measures=measures(0.3, 0.9)), [])
    found = results_so_far(run.path)
    assert found.after is None and len(found.afters) == 1
    rows = main_table([found], ["forget/probability"]).rows
    assert [(row.kind, row.label) for row in rows] == [
        ("before", "before"),
        ("stage", "run, after learn"),
        ("run", "run"),
    ]
    assert rows[-1].note == "unfinished" and rows[-1].cells[0].reason == "the run is not finished"


def test_a_page_can_be_made_while_the_run_goes_on(tmp_path: Path) -> None:
    folder = going(tmp_path / "run")
    assert page_of([folder]) == folder / "report-so-far.html"
    with locked(folder):
        page = Page(build_report([folder], page_of([folder])).read_text())
    assert SAID in page.text and page.text.index(SAID) < page.text.index("probability 0.900")
    assert "run, step 24 of unlearn" in page.text and not page.crossed
    done = write_run(tmp_path / "ihl", IHL_RUN)
    assert page_of([done]) == done / "report.html"


def test_a_page_of_a_run_that_has_only_begun(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    text = Page(build_report([run.path], page_of([run.path])).read_text()).text
    assert "Not finished: measuring the model before" in text


def test_beside_a_finished_run_it_is_not_ranked(tmp_path: Path) -> None:
    runs = [Results.load(write_run(tmp_path / "ihl", IHL_RUN)), results_so_far(going(tmp_path / "run"))]
    found = comparison(runs)
    assert found.headline.startswith("run: not finished: stage unlearn, step 34 of 60")
    assert any("run unfinished" in finding.text for finding in found.findings)
