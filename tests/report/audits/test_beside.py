"""Audits of several runs in one table and one figure: what compares, in which order, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetting.audits.certificate import Evidence, Gate, judge
from forgetting.audits.certificate.statement import Sources, statement
from forgetting.report.audits.beside import Beside, beside
from forgetting.report.audits.figure import after_attack
from forgetting.report.drawing.curves import series
from forgetting.report.run.page import build_report
from forgetting.report.sweep.page import build_sweep_report
from forgetting.runs.results import Results
from tests.audits.certificate.made import FAILED, KEPT, given, ones
from tests.report.fixtures import IHL_RUN, write_run
from tests.report.run.test_page import Page
from tests.report.sweeps import run as point
from tests.report.sweeps import write_sweep

MODELS = {"before": "b", "after": "a", "oracle": "o"}
LEAKY = given(before=ones(40), oracle=ones(2), after=ones(30))
LESS_LEAKY = given(before=ones(40), oracle=ones(2), after=ones(20))
CLOSE = given(before=ones(40), oracle=ones(2), after=ones(2))
OPEN = given(before=ones(40), oracle=ones(2), after=ones(6))
SILENT = given(before=ones(40), oracle=ones(15), after=ones(0))
BLIND = given(attack="context", before=ones(3), oracle=ones(2), after=ones(2))


def certify(
    folder: Path,
    evidence: Sequence[Evidence],
    gates: Sequence[Gate] = (KEPT,),
    *,
    margin: float = 0.1,
    models: Mapping[str, str] = MODELS,
    **settings: Any,
) -> Path:
    sources = Sources(
        files={},
        models=models,
        attacks=[
            {"name": name, "parameters": settings, "seed": 0, "values": [e.value for e in evidence if e.attack == name]}
            for name in dict.fromkeys(one.attack for one in evidence)
        ],
        asked=[one.attack for one in evidence],
        left_out=[],
        recipe="",
        data={},
        request={},
        key="",
        code={},
        environment={},
        date="2026-12-01T00:00:00+00:00",
    )
    written = statement(judge(evidence, gates, margin=margin), sources)
    (folder / "certificate.json").write_text(json.dumps(written))
    return folder


def made(folder: Path, name: str, *evidence: Evidence, **how: Any) -> Path:
    return certify(write_run(folder / name, replace(IHL_RUN, name=name, questions=0)), evidence, **how)


def table(*folders: Path) -> Beside:
    found = beside([Results.load(folder) for folder in folders])
    assert found is not None
    return found


def test_what_failed_stands_first_and_the_worst_of_it_above_the_others(tmp_path: Path) -> None:
    found = table(
        made(tmp_path, "close", CLOSE),
        made(tmp_path, "open", OPEN),
        made(tmp_path, "less", LESS_LEAKY),
        made(tmp_path, "leaky", LEAKY),
        made(tmp_path, "broken", CLOSE, gates=[FAILED]),
    )
    assert [(row.run, row.state) for row in found.rows] == [
        (3, "refuted"),
        (2, "refuted"),
        (4, "uninterpretable"),
        (1, "not shown"),
        (0, "shown"),
    ]
    assert [row.damaged for row in found.rows] == [False, False, True, False, False]
    assert (found.facts, found.subjects, found.margin) == (40, 40, 0.1)


def test_a_cell_is_the_value_of_the_attack_that_came_out_worst(tmp_path: Path) -> None:
    likely = given(value="probability", before=ones(40), oracle=ones(2), after=ones(30))
    unlikely = given(value="probability", before=ones(40), oracle=ones(2), after=ones(2))
    found = table(made(tmp_path, "one", CLOSE, likely, BLIND), made(tmp_path, "two", CLOSE, unlikely, BLIND))
    assert found.attacks == ("sample", "context")
    one, two = found.rows
    assert (one.cells[0].text, one.cells[0].state, one.cells[0].value) == ("+0.70", "refuted", "probability")
    assert (two.cells[0].text, two.cells[0].state, two.cells[0].value) == ("0.00", "shown", "leak")
    assert [row.cells[1].state for row in found.rows] == ["blind", "blind"]
    assert one.worst is not None and one.worst.value == "probability"


def test_a_model_that_gives_away_less_than_one_that_never_saw_says_so(tmp_path: Path) -> None:
    found = table(made(tmp_path, "silent", SILENT), made(tmp_path, "close", CLOSE))
    assert [row.cells[0].state for row in found.rows] == ["not shown: less", "shown"]


def test_what_cannot_be_compared_is_named_and_left_out(tmp_path: Path) -> None:
    fewer = given(before=ones(20, 20), oracle=ones(1, 20), after=ones(1, 20))
    plain = write_run(tmp_path / "plain", replace(IHL_RUN, name="plain", questions=0))
    found = table(
        made(tmp_path, "wide", CLOSE, margin=0.2),
        made(tmp_path, "one", CLOSE),
        made(tmp_path, "two", CLOSE),
        made(tmp_path, "elsewhere", CLOSE, models={**MODELS, "oracle": "p"}),
        made(tmp_path, "fewer", fewer),
        made(tmp_path, "alone", CLOSE, models={"before": "b", "after": "a"}),
        plain,
    )
    assert [row.run for row in found.rows] == [1, 2]
    assert found.left_out == (
        "wide was audited with another margin.",
        "elsewhere was audited with another oracle.",
        "fewer was audited with other facts.",
        "alone was audited without an oracle, so there is nothing to compare with.",
        "plain was not audited.",
    )


def test_an_attack_with_other_settings_has_no_number_in_the_table(tmp_path: Path) -> None:
    found = table(made(tmp_path, "one", LEAKY, n=8), made(tmp_path, "two", CLOSE, n=32))
    by_run = {row.run: row.cells[0] for row in found.rows}
    assert (by_run[0].text, by_run[0].state) == ("+0.70", "refuted")
    assert (by_run[1].text, by_run[1].state) == ("—", "other settings")


def test_an_attack_that_was_counted_by_another_value_has_no_number_in_the_table(tmp_path: Path) -> None:
    found = table(made(tmp_path, "one", LEAKY), made(tmp_path, "two", replace(CLOSE, value="leak@half")))
    assert [row.cells[0].state for row in found.rows] == ["refuted", "other settings"]


def test_fewer_than_two_that_compare_are_no_table(tmp_path: Path) -> None:
    one, wide = made(tmp_path, "one", CLOSE), made(tmp_path, "wide", CLOSE, margin=0.2)
    assert beside([Results.load(one), Results.load(wide)]) is None
    assert beside([Results.load(write_run(tmp_path / "none", IHL_RUN))]) is None


def test_the_figure_has_a_point_for_each_run_with_both_values(tmp_path: Path) -> None:
    folders = [made(tmp_path, "leaky", LEAKY), made(tmp_path, "close", CLOSE), made(tmp_path, "blind", BLIND)]
    runs = [Results.load(folder) for folder in folders]
    found = beside(runs)
    assert found is not None and [row.run for row in found.rows if row.worst is None] == [2]
    figure = after_attack(found, series(runs))
    assert figure is not None and figure.count('class="point') == 2
    assert 'class="ideal"' in figure and "leaky" in figure and "sample, leak: 0.70" in figure


def test_the_report_of_several_runs_and_the_page_of_a_sweep_begin_with_it(tmp_path: Path) -> None:
    folders = [made(tmp_path / "s", name, own) for name, own in (("leaky", LEAKY), ("close", CLOSE))]
    page = Page(build_report(folders, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.sections[0] == "audit" and page.crossed == [] and page.open == []
    assert "✗ refuted" in page.text and "✓ shown" in page.text
    for folder in folders:  # runs that name no oracle, audited beside one
        results = json.loads((folder / "results.json").read_text())
        (folder / "results.json").write_text(json.dumps({**results, "oracle": ""}))
    text = build_report(folders, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<dt>Suite</dt>" in text and "<dt>Oracle</dt>" not in text
    sweep = write_sweep(tmp_path / "s", [point("leaky", "0"), point("close", "0")])
    names = [entry["name"] for entry in json.loads((sweep / "sweep.json").read_text())["runs"]]
    for folder, name in zip(folders, names, strict=True):
        folder.rename(sweep / name)
    swept = Page(build_sweep_report(sweep).read_text(encoding="utf-8"))
    assert swept.sections[:2] == ["cautions", "audit"] and swept.crossed == [] and swept.open == []
    assert "+0.70" in swept.text
