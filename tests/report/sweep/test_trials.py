"""The trials of a tuning in the table, the files and the page."""

import csv
import io
from pathlib import Path

import pytest

from forgetting.core.measure import Measure
from forgetting.report.sweep.page import build_sweep_report
from forgetting.report.sweep.results import cautions
from forgetting.report.sweep.trials import trials_figure, trials_table
from forgetting.runs.sweep import SweepFolder, SweepResults, SweepRun
from forgetting.runs.tuning import Setting, State, Trial, Tuning


def trial(
    method: str, number: int, point: dict[str, Setting], value: float | None, state: State, note: str = ""
) -> Trial:
    name = f"{method}-{number:03d}"
    return Trial(method=method, number=number, name=name, point=point, state=state, value=value, note=note)


@pytest.fixture
def tuning() -> Tuning:
    trials = (
        trial("graddiff", 0, {"learning_rate": 3e-4, "duration": 60}, 0.5, "complete"),
        trial("graddiff", 1, {"learning_rate": 1e-3, "duration": 90}, 0.75, "complete"),
        trial("graddiff", 2, {"learning_rate": 3e-3, "duration": 30}, None, "pruned", "pruned at step 24: <low>"),
        trial("npo", 0, {"learning_rate": 3e-4, "method.beta": 0.1}, None, "failed", "out of memory"),
    )
    return Tuning(
        stage="unlearn",
        budget=3,
        rule="The highest balance.",
        space={"graddiff": {"learning_rate": "3e-05 to 0.003 (log)", "duration": "30 to 120 (log)"}, "npo": {}},
        facts={"forget": (39, 39), "story": (30, 30)},
        balanced=("forget",),
        trials=trials,
        chosen={"graddiff": "graddiff-001"},
        ends={"graddiff": ("duration",)},
    )


@pytest.fixture
def results(tuning: Tuning, tmp_path: Path) -> SweepResults:
    measure = Measure(name="balance", split="reported", value=0.7, count=39, direction="up")
    run = SweepRun(
        name="graddiff-001-seed1", point={"method": "graddiff", "seed": "1"}, status="complete", measures=(measure,)
    )
    return SweepResults(
        folder=tmp_path,
        name="lab-tune",
        created="2026-01-01T00:00:00+00:00",
        axes={"method": ("graddiff",), "seed": ("1",)},
        replicates=("seed",),
        columns=("reported/balance",),
        runs=(run,),
        tuning=tuning,
    )


def test_every_trial_is_a_row_with_its_settings_and_how_it_ended(tuning: Tuning) -> None:
    table = trials_table(tuning)
    headers, rows = table.plain()
    assert headers == ["method", "trial", "balance", "learning rate", "duration", "beta"]
    assert rows[1] == ["graddiff", "1 chosen", "0.750", "0.00100", "90", ""]
    assert [row[2] for row in rows] == ["0.500", "0.750", "pruned", "failed"]
    assert rows[3][3:] == ["3·10⁻⁴", "", "0.100"]


def test_other_programs_get_plain_values(tuning: Tuning) -> None:
    table = trials_table(tuning)
    rows = list(csv.DictReader(io.StringIO(table.as_csv())))
    assert [(row["name"], row["state"], row["value"], row["chosen"]) for row in rows][1:3] == [
        ("graddiff-001", "complete", "0.75", "True"),
        ("graddiff-002", "pruned", "", "False"),
    ]
    assert (rows[0]["learning_rate"], rows[0]["method.beta"], rows[3]["method.beta"]) == ("0.0003", "", "0.1")
    assert table.as_json()[3]["point"] == {"learning_rate": 3e-4, "method.beta": 0.1}


def test_the_page_shows_trials_halves_and_spaces_and_escapes_notes(results: SweepResults) -> None:
    SweepFolder(results.folder).write_results(results)
    html = build_sweep_report(results.folder).read_text()
    assert "39 chosen by, 39 reported" in html and "30 chosen by" not in html
    assert '<tr class="chosen"><th scope="row"><bdi>graddiff-001</bdi>' in html
    assert "pruned at step 24: &lt;low&gt;" in html and "<low>" not in html
    assert "3e-05 to 0.003 (log)" in html and "The best of each method" in html
    assert (results.folder / "trials.csv").is_file()


def test_a_plain_sweep_has_no_trials(results: SweepResults, tmp_path: Path) -> None:
    plain = SweepResults(**{f: getattr(results, f) for f in SweepResults.__slots__ if f != "tuning"})
    SweepFolder(tmp_path).write_results(plain)
    html = build_sweep_report(tmp_path).read_text()
    assert "Trials" not in html and "<h2>Table</h2>" in html
    assert not (tmp_path / "trials.csv").exists()


def test_failed_trials_methods_without_a_winner_and_ends_of_ranges_are_said_first(results: SweepResults) -> None:
    assert cautions(results)[:3] == [
        "npo-000 failed, and counts as a trial: out of memory",
        "no trial of npo has a balance, so it has no runs",
        "the best duration of graddiff lies at an end of where it was sought (30 to 120 (log)); a wider range "
        "may hold a better one",
    ]


def test_the_figure_has_a_mark_for_every_trial(tuning: Tuning) -> None:
    figure = trials_figure(tuning)
    assert figure is not None and figure.count("<title>") == 4
    assert "graddiff-002: pruned at step 24: &lt;low&gt;" in figure
    nothing = Tuning(stage="s", budget=1, rule="", space={}, facts={}, trials=tuning.trials[3:], chosen={})
    assert trials_figure(nothing) is None
