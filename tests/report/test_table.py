"""The main table: the same rows for the page, the terminal and JSON."""

import json
from dataclasses import replace
from pathlib import Path

from forgetting.report.headline_measures import all_keys
from forgetting.report.table import main_table
from forgetting.runs.results import Results
from tests.report.fixtures import BEFORE, GA_RUN, IHL_RUN, NPO_RUN, load, write_run


def test_rows_are_the_start_the_oracle_and_the_runs(tmp_path: Path) -> None:
    table = main_table(load(tmp_path, IHL_RUN, NPO_RUN, GA_RUN))
    assert [(row.kind, row.label, row.note) for row in table.rows] == [
        ("before", "before", ""),
        ("oracle", "oracle", ""),
        ("run", "ihl", ""),
        ("run", "npo + retain", ""),
        ("run", "ga", "collapsed"),
    ]


def test_columns_lead_from_forgetting_to_utility_with_their_direction(tmp_path: Path) -> None:
    table = main_table(load(tmp_path, IHL_RUN))
    assert [(c.key, c.arrow) for c in table.columns] == [
        ("forget/probability", "→ oracle"),
        ("forget/exact_match", "→ oracle"),
        ("forget/forget_quality", "↑"),
        ("forget_narrative/probability", "→ oracle"),
        ("retain/probability", "↑"),
        ("retain/exact_match", "↑"),
        ("utility/exact_match", "↑"),
        ("all/model_utility", "↑"),
    ]
    assert table.groups() == [("forget", 3), ("forget narrative", 1), ("retain", 2), ("utility", 1), ("overall", 1)]


def test_the_terminal_gets_text_with_intervals(tmp_path: Path) -> None:
    headers, rows = main_table(load(tmp_path, IHL_RUN)).plain()
    assert headers[:2] == ["", "forget · probability → oracle"]
    assert rows[0][:2] == ["before", "0.890 (0.801–0.942)"]
    assert rows[2][0] == "ihl"
    assert rows[2][3] == "2·10⁻⁵"
    assert {len(row) for row in rows} == {len(headers)}


def test_json_keeps_numbers_and_reasons(tmp_path: Path) -> None:
    raw = json.loads(json.dumps(main_table(load(tmp_path, GA_RUN)).as_json()))
    values = raw["rows"][-1]["values"]
    assert values["retain/probability"]["value"] == 0.02
    assert values["retain/probability"]["count"] == 300
    assert values["all/model_utility"] == {"value": None, "reason": "no question of split 'all' has finite scores"}


def test_a_missing_value_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    cell = main_table(load(tmp_path, GA_RUN)).rows[-1].cells[-1]
    assert (cell.value, cell.plain) == ("—", "—")
    assert cell.reason == "no question of split 'all' has finite scores"


def test_a_run_without_an_end_says_so_in_every_cell(tmp_path: Path) -> None:
    row = main_table(load(tmp_path, replace(IHL_RUN, after=None))).rows[-1]
    assert {cell.reason for cell in row.cells} == {"the run was not measured at its end"}


def test_starts_that_differ_have_a_row_each(tmp_path: Path) -> None:
    other = replace(NPO_RUN, before={**BEFORE, "retain/probability": 0.8})
    labels = [row.label for row in main_table(load(tmp_path, IHL_RUN, other)).rows]
    assert labels == ["before of ihl", "before of npo + retain", "oracle", "ihl", "npo + retain"]


def test_a_run_of_several_stages_has_a_row_per_stage(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", replace(IHL_RUN, questions=0))
    raw = json.loads((folder / "results.json").read_text())
    last = raw["evaluations"][-1]
    raw["evaluations"].append({**last, "stage": "repair"})
    (folder / "results.json").write_text(json.dumps(raw))
    rows = main_table([Results.load(folder)]).rows
    assert [(row.kind, row.label) for row in rows[2:]] == [("stage", "ihl, after unlearn"), ("run", "ihl")]


def test_an_unknown_suite_shows_its_first_measures(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", replace(IHL_RUN, questions=0))
    raw = json.loads((folder / "results.json").read_text())
    for evaluation in raw["evaluations"]:
        evaluation["measures"] = [{"name": "acc", "split": "arc", "value": 0.4, "count": 9}]
    (folder / "results.json").write_text(json.dumps(raw))
    assert [c.key for c in main_table([Results.load(folder)]).columns] == ["arc/acc"]


def test_every_measure_can_be_shown(tmp_path: Path) -> None:
    runs = load(tmp_path, IHL_RUN)
    assert {c.key for c in main_table(runs, all_keys(runs)).columns} == set(BEFORE)
