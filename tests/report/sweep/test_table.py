"""The table of a sweep: statistics as numpy gives them, and nothing left out in silence."""

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forgetting.report.sweep.results import cautions
from forgetting.report.sweep.table import Statistic, sweep_table
from tests.report.sweeps import measure, run, sweep_results

VALUES = {("GD", "0"): 0.30, ("GD", "1"): 0.34, ("GD", "2"): 0.41, ("LoKU", "0"): 0.10, ("LoKU", "1"): 0.13}


def five() -> list[dict[str, Any]]:
    return [run(method, seed, {"forget/ma": v, "retain/f1": 1 - v}) for (method, seed), v in VALUES.items()]


def test_rows_are_points_and_cells_are_mean_and_sample_deviation_over_seeds() -> None:
    table = sweep_table(sweep_results(five()))
    assert [row.label for row in table.rows] == ["GD", "LoKU"]
    for row in table.rows:
        values = np.array([v for (method, _), v in VALUES.items() if method == row.label], dtype=np.float64)
        cell = row.cells[0]
        assert cell.n == len(values)
        assert cell.mean == pytest.approx(values.mean(), rel=1e-12)
        assert cell.std == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert table.rows[0].cells[0].text == "0.350 ± 0.056 (3)"


def test_one_value_has_no_deviation_and_none_has_no_mean() -> None:
    assert (Statistic((0.5,)).mean, Statistic((0.5,)).std, Statistic((0.5,)).text) == (0.5, None, "0.500 (1)")
    assert (Statistic(()).mean, Statistic(()).std, Statistic(()).text) == (None, None, "—")


def test_failed_collapsed_and_missing_runs_are_named_and_n_says_so() -> None:
    runs = [
        run("GD", "0", {"forget/ma": 0.2}),
        run("GD", "1", status="failed", error="rows.jsonl:3: no answer"),
        run("GD", "2", {"forget/ma": 0.6}, status="collapsed", message="step 4"),
        run("GD", "3", status="not run"),
    ]
    table = sweep_table(sweep_results(runs))
    row = table.rows[0]
    assert (row.cells[0].n, row.cells[0].mean) == (2, pytest.approx(0.4))
    assert table.note(row) == "seed 1 failed, seed 2 collapsed, seed 3 not run"
    headers, lines = table.plain()
    assert dict(zip(headers, lines[0], strict=True))["runs"] == "2 of 4"


def test_a_measure_without_value_is_missing_with_its_reason_and_never_zero() -> None:
    runs = [run("GD", "0", {"forget/ma": None}), run("LoKU", "0", {"forget/ma": 0.5}), run("LoKU", "1", {})]
    cells = [row.cells[0] for row in sweep_table(sweep_results(runs)).rows]
    assert (cells[0].mean, cells[0].reason) == (None, "not scored")
    assert (cells[1].mean, cells[1].n) == (0.5, 1)


def judged() -> list[dict[str, Any]]:
    return [
        run("GD", "0", {"forget/ma": 0.1}, success=True, epochs=3.0),
        run("GD", "1", {"forget/ma": 0.2}, success=True, epochs=6.0),
        run("GD", "2", {"forget/ma": 0.9}, success=False, epochs=20.0),
        run("GD", "3", status="failed"),
        run("LoKU", "0", {"forget/ma": 0.7}, success=False, epochs=20.0),
        run("none", "0", {"forget/ma": 0.8}, epochs=5.0),
    ]


def test_with_stop_rules_every_measure_is_over_all_runs_and_over_the_successful() -> None:
    table = sweep_table(sweep_results(judged()))
    rows = {(row.label, row.over): row for row in table.rows}
    both, good = rows["GD", "all"], rows["GD", "successful"]
    assert both.success == good.success == "2 of 3"  # the run that failed was never judged; the note names it
    assert table.note(good) == "seed 3 failed"
    assert (both.cells[0].mean, both.cells[0].n) == (pytest.approx(np.mean([0.1, 0.2, 0.9])), 3)
    assert (good.cells[0].mean, good.cells[0].n) == (pytest.approx(0.15), 2)
    assert (good.epochs.mean, good.epochs.n) == (4.5, 2)
    assert good.epochs.std == pytest.approx(np.std([3.0, 6.0], ddof=1))


def test_missed_goals_are_told_before_the_table() -> None:
    assert "2 of 4 runs with a goal did not reach it: GD-2 and LoKU-0" in cautions(sweep_results(judged()))


def test_runs_that_ended_at_their_limit_without_success_are_told_apart() -> None:
    """As those that end despite damage: they did forget."""
    results = sweep_results(judged())
    ended = replace(results, runs=tuple(replace(run, stopped="goal") for run in results.runs))
    said = "2 of these ended where the limit was met: their reports say why that is no success, such as damage"
    assert any(line.startswith(said) for line in cautions(ended))
    assert not any("where the limit was met" in line for line in cautions(results))


def test_where_none_succeeded_there_is_no_value_and_where_there_was_no_rule_no_rate() -> None:
    rows = {(row.label, row.over): row for row in sweep_table(sweep_results(judged())).rows}
    assert rows["LoKU", "successful"].success == "0 of 1"
    assert (rows["LoKU", "successful"].epochs.mean, rows["LoKU", "successful"].cells[0].mean) == (None, None)
    assert rows["LoKU", "successful"].cells[0].reason == "there is no successful run"
    assert rows["none", "all"].success == "—"
    table = sweep_table(sweep_results(judged())).as_json()
    assert [row["success_rate"] for row in table["rows"]] == [pytest.approx(2 / 3)] * 2 + [0.0] * 2 + [None] * 2


def test_without_stop_rules_there_is_one_row_a_point() -> None:
    headers, lines = sweep_table(sweep_results(five())).plain()
    assert headers == ["method", "runs", "forget · ma ↓", "retain · f1 ↑", "note"]
    assert len(lines) == 2


def test_two_axes_are_averaged_over_together() -> None:
    table = sweep_table(sweep_results(five(), replicates=["method", "seed"]))
    assert [row.label for row in table.rows] == ["all"]
    assert table.rows[0].cells[0].mean == pytest.approx(np.mean(list(VALUES.values())))


def test_models_that_all_runs_share_stand_above_the_rows() -> None:
    before = [measure("forget/ma", 0.93)]
    table = sweep_table(sweep_results(five(), before=before))
    assert table.plain()[1][0] == ["before", "", "0.930", "—", ""]
    assert table.as_json()["before"] == {"forget/ma": 0.93, "retain/f1": None}


def test_the_csv_reads_back_with_empty_fields_for_what_is_missing() -> None:
    rows = list(csv.DictReader(io.StringIO(sweep_table(sweep_results(judged())).as_csv())))
    assert len(rows) == 6
    assert float(rows[0]["forget/ma mean"]) == pytest.approx(0.4)
    assert float(rows[0]["forget/ma std"]) == pytest.approx(np.std([0.1, 0.2, 0.9], ddof=1))
    assert (rows[0]["method"], rows[0]["over"], rows[0]["forget/ma n"]) == ("GD", "all", "3")
    assert (rows[3]["forget/ma mean"], rows[3]["forget/ma std"], rows[3]["forget/ma n"]) == ("", "", "0")
    assert rows[4]["success_rate"] == ""


def test_p_values_are_averaged_by_their_logarithms_and_the_title_says_so() -> None:
    p = {"0": 1e-9, "1": 1e-3, "2": 1.0}
    runs = [run("GD", seed, {"forget/forget_quality": value}) for seed, value in p.items()]
    table = sweep_table(sweep_results(runs))
    cell = table.rows[0].cells[0]
    assert cell.mean == pytest.approx(1e-4)  # the arithmetic mean would be 0.33
    assert cell.std == pytest.approx(np.std([-9, -3, 0], ddof=1))
    assert table.titles == ("forget quality ↓ (geometric mean)",)
    assert cell.text.startswith("1·10⁻⁴ ×÷ ")
    [row] = csv.DictReader(io.StringIO(table.as_csv()))
    assert float(row["forget/forget_quality geometric mean"]) == pytest.approx(1e-4)
    zero = Statistic((0.0, 0.5), p_value=True)
    assert (zero.mean, zero.std) == (0.0, None)


def test_files_for_other_programs_hold_every_measure_and_the_page_those_of_its_columns() -> None:
    results = sweep_results(five(), columns=["retain/f1"])
    assert sweep_table(results).keys == ("retain/f1",)
    assert sweep_table(results, whole=True).keys == ("retain/f1", "forget/ma")
    assert "forget/ma mean" in sweep_table(results, whole=True).as_csv()
