"""Published numbers beside ours: never one of ours that was not measured, and means as the paper takes them."""

import json
import random
from pathlib import Path

import pytest
import torch

from forgetting.benchmarks.published import Column, Ended, compared, published_table
from forgetting.benchmarks.published.compared import absent, measured
from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.pipeline.reproduce.table import reproduce
from tests.cli.command import command
from tests.pipeline.reproduce.rehearsal import Rehearsal, write_data

LOKU = "gpt-neo-125m-loku-ihl-fila-lora-fila-16"


def ended(el: float | None, *, success: bool | None = None, low: float | None = None) -> Ended:
    measure = Measure(name="el_10", split="forget", value=el, count=32, low=low, high=low and 2 * low, reason="cut off")
    return Ended("folder", {"forget/el_10": measure}, success)


def el_of(runs: list[Ended]):
    table = published_table("loku-table1")
    return compared(table, next(row for row in table.rows if row.id == LOKU), runs)["el_10"]


def test_one_run_stands_with_its_interval_in_the_papers_unit() -> None:
    cell = el_of([ended(0.005, low=0.004)])
    assert (cell.published, cell.measured, cell.low, cell.high) == (0.3, 0.5, 0.4, 0.8)
    assert cell.difference == pytest.approx(0.2)
    assert cell.deviation is None and cell.over_all is None


def test_several_runs_are_a_mean_with_their_standard_deviation() -> None:
    cell = el_of([ended(value, success=True, low=0.001) for value in (0.01, 0.02, 0.03)])
    assert (cell.measured, cell.deviation, cell.runs) == (pytest.approx(2.0), pytest.approx(1.0), 3)
    assert cell.low is None and cell.over_all is None


def test_runs_that_missed_their_goal_are_left_out_and_the_mean_over_all_stands_beside() -> None:
    cell = el_of([ended(0.01, success=True), ended(0.03, success=True), ended(0.20, success=False)])
    assert (cell.measured, cell.runs) == (pytest.approx(2.0), 2)
    assert cell.over_all is not None
    assert (cell.over_all.mean, cell.over_all.runs) == (pytest.approx(8.0), 3)


def test_where_no_run_reached_its_goal_there_is_no_mean_but_that_over_all() -> None:
    cell = el_of([ended(0.1, success=False), ended(0.3, success=False)])
    assert (cell.measured, cell.difference) == (None, None)
    assert cell.reason == "none of 2 runs reached the goal"
    assert cell.over_all is not None and cell.over_all.mean == pytest.approx(20.0)


def test_what_was_not_measured_has_its_reason_and_no_number() -> None:
    assert el_of([ended(None)]).reason == "cut off"
    assert el_of([Ended("folder", {})]).reason == "the recipe does not measure forget/el_10"
    assert el_of([ended(None)]).measured is None


def three(*values: float | None, half: float | None = 0.1) -> Ended:
    """A run with a measure `acc` of the tasks a, b and c."""
    measures = [
        Measure(
            name="acc",
            split=split,
            value=v,
            count=10,
            low=None if v is None or half is None else v - half,
            high=None if v is None or half is None else v + half,
            reason="cut off",
        )
        for split, v in zip("abc", values, strict=False)
    ]
    return Ended("folder", {m.key: m for m in measures})


TASKS = Column(key="tasks", name="tasks", measures=("a/acc", "b/acc", "c/acc"))


def test_a_column_of_several_measures_is_their_mean_with_their_independent_interval() -> None:
    mean = measured(TASKS, three(0.1, 0.2, 0.6))
    assert mean is not None
    assert (mean.value, mean.count) == (pytest.approx(0.3), 30)
    assert mean.high == pytest.approx(0.3 + 0.1 / 3**0.5) and mean.low == pytest.approx(0.3 - 0.1 / 3**0.5)
    without = measured(TASKS, three(0.1, 0.2, 0.6, half=None))
    assert without is not None and without.low is without.high is None


def test_a_mean_is_missing_where_one_of_its_measures_is() -> None:
    missing = measured(TASKS, three(0.1, None, 0.6))
    assert missing is not None and (missing.value, missing.reason) == (None, "cut off")
    assert measured(TASKS, three(0.1, 0.2)) is None and absent(TASKS, three(0.1, 0.2)) == "c/acc"


def test_the_printed_spread_stands_with_the_printed_value() -> None:
    table = published_table("forgetting-table3")
    row = next(row for row in table.rows if row.id == "llama-3.2-3b-forgetting-token")
    cell = compared(table, row, ())["truthfulqa"]
    assert (cell.published, cell.published_std, cell.deviation) == (50.32, 0.96, None)


@pytest.mark.parametrize("name", ["loku-table1", "loku-table7"])
def test_rows_without_model_are_not_run_and_hold_no_number_of_ours(name: str, tmp_path: Path) -> None:
    found = reproduce(name, output=str(tmp_path))
    assert {row.status for row in found.rows} == {"not run"}
    for row in found.rows:
        assert f"--model {row.row.model}=" in row.message
        for cell in row.compared.values():
            assert (cell.measured, cell.difference, cell.low, cell.high, cell.over_all) == (None,) * 5
    assert not list(tmp_path.iterdir())


def test_a_row_or_model_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'phi-tofu'"):
        reproduce("loku-table2", model={"phi-tof": "x"}, output=str(tmp_path))
    with pytest.raises(RecipeError, match="has no row with 'npo-lora-forget20'; did you mean 'npo-lora-forget10'"):
        reproduce("loku-table2", rows=["npo-lora-forget20"], output=str(tmp_path))


def test_one_path_is_not_given_to_rows_of_several_models(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"start from 3 models; write --model gpt-neo-1\.3b=PATH"):
        reproduce("loku-table1", model="x", output=str(tmp_path))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with invented `data` in the real layout and tiny models `phi` and `oracle`."""
    folder = tmp_path_factory.mktemp("stage")
    write_data(folder / "data", random.Random(1))
    with Rehearsal() as rehearsal:
        rehearsal.model("phi").rename(folder / "phi")
        rehearsal.model("phi", seed=1).rename(folder / "oracle")
    torch.set_num_threads(1)
    return folder


@pytest.fixture(scope="module")
def rows_that_ran(stage: Path):
    models = {"phi-tofu": str(stage / "phi"), "phi-retain90": str(stage / "oracle")}
    return reproduce(
        "loku-table2",
        model=models,
        rows=["npo-lora-forget10", "original"],
        output=str(stage / "runs"),
        data=str(stage / "data"),
    )


def test_a_row_is_run_and_read_from_its_results(stage: Path, rows_that_ran) -> None:
    row = next(row for row in rows_that_ran.rows if row.row.trained)
    assert (row.status, row.message) == ("ran", "")
    results = json.loads((stage / "runs" / "loku-table2" / row.row.id / "results.json").read_text())
    assert results["stages"][0]["steps"] == 5 and results["recipe"]["model"] == str(stage / "phi")
    after = {f"{m['split']}/{m['name']}": m for m in results["evaluations"][-1]["measures"]}
    for column in rows_that_ran.table.columns:
        cell, measure = row.compared[column.key], after[column.measures[0]]
        assert cell.measured == measure["value"]
        assert (cell.low, cell.high) == (measure["low"], measure["high"])
        assert cell.difference == (None if cell.measured is None else cell.measured - cell.published)
    assert row.compared["retain_probability"].measured is not None
    assert row.compared["forget_quality"].measured is not None


def test_a_model_that_is_not_trained_is_only_measured(stage: Path, rows_that_ran) -> None:
    row = next(row for row in rows_that_ran.rows if not row.row.trained)
    folder = stage / "runs" / "loku-table2" / row.row.id
    assert row.status == "ran" and row.compared["retain_probability"].measured is not None
    assert sorted(file.name for file in folder.iterdir()) == ["measured.json", "recipe.yaml"]


def test_finished_runs_are_found_again_without_their_models(stage: Path, rows_that_ran) -> None:
    names = [row.row.id for row in rows_that_ran.rows]
    again = reproduce("loku-table2", rows=names, output=str(stage / "runs"), data=str(stage / "data"))
    assert [row.compared for row in again.rows] == [row.compared for row in rows_that_ran.rows]


def test_a_run_of_another_recipe_in_its_place_is_not_taken_for_it(stage: Path, rows_that_ran) -> None:
    folder = stage / "runs" / "loku-table2"
    (folder / "npo-lora-forget10").rename(folder / "ga-lora-forget10")
    try:
        [row] = reproduce(
            "loku-table2", rows=["ga-lora-forget10"], output=str(stage / "runs"), data=str(stage / "data")
        ).rows
    finally:
        (folder / "ga-lora-forget10").rename(folder / "npo-lora-forget10")
    assert row.status == "failed" and "another recipe" in row.message
    assert {cell.measured for cell in row.compared.values()} == {None}


def test_a_row_that_cannot_run_says_why_and_leaves_the_others(stage: Path, tmp_path: Path) -> None:
    gone, rows = str(tmp_path / "none"), ["original", "-lora-forget01"]
    found = reproduce("loku-table2", model=gone, rows=rows, output=str(tmp_path), data=str(stage / "data"))
    assert {row.status for row in found.rows} == {"failed"}
    assert len(found.rows) == 7 and all(row.message.startswith(gone) for row in found.rows)


def test_the_command_prints_published_measured_interval_and_difference(
    capsys: pytest.CaptureFixture[str],
    stage: Path,
    rows_that_ran,
) -> None:
    names = [x for row in rows_that_ran.rows for x in ("--row", row.row.id)]
    asked = ("reproduce", "loku-table2", *names, "--output", str(stage / "runs"), "--data", str(stage / "data"))
    document = json.loads(command(capsys, *asked, "--json")[1])
    cell = document["rows"][1]["cells"]["retain_probability"]
    assert cell["published"] == 0.45 - 0.25 and document["rows"][1]["status"] == "ran"
    printed = " ".join(command(capsys, *asked)[1].split())
    assert f"{cell['measured']:.2f}" in printed and f"{cell['difference']:+.2f}" in printed
