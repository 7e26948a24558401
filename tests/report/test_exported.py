"""Tables for papers and notebooks: what stands in them, and that hostile names break none."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.report.exported import FORMATS, csv_table, latex_table, markdown_table
from forgetting.report.table import main_table
from tests.report.fixtures import GA_RUN, HOSTILE_RUN, IHL_RUN, NPO_RUN, load


def rows_of(latex: str) -> list[list[str]]:
    return [line.removesuffix(r" \\").split(" & ") for line in latex.split("\n") if line.endswith(r" \\")]


def test_latex_is_a_booktabs_table_with_every_value_and_interval(tmp_path: Path) -> None:
    runs = load(tmp_path, IHL_RUN, NPO_RUN)
    text = latex_table(runs)
    table = main_table(runs)
    found = rows_of(text)
    assert found[0] == ["", "before", "oracle", "ihl", "npo + retain"]
    assert len(found) == len(table.columns) + 1 and {len(row) for row in found} == {len(table.rows) + 1}
    first = table.rows[2].cells[0]
    assert found[1][3] == rf"{first.value} {{\scriptsize ({first.interval.replace('–', '--')})}}"
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


def test_a_power_of_ten_and_an_arrow_are_mathematics(tmp_path: Path) -> None:
    text = latex_table(load(tmp_path, NPO_RUN))
    assert r"3$\cdot 10^{-5}$" in text and r"$\uparrow$" in text
    assert not set("⁻·↑↓→–−") & set(re.sub(r"(?m)^%.*$", "", text))


def test_few_measures_of_many_models_stand_side_by_side(tmp_path: Path) -> None:
    keep = "forget/probability"
    stories = [replace(s, before={keep: 0.9}, oracle={keep: 0.2}, after={keep: 0.1}) for s in (IHL_RUN, NPO_RUN)]
    heads, *rows = rows_of(latex_table(load(tmp_path, *stories)))
    assert len(heads) <= len(rows) and [row[0] for row in rows] == ["before", "oracle", "ihl", "npo + retain"]


@pytest.mark.parametrize("write", [latex_table, markdown_table])
def test_why_a_value_is_missing_follows_the_table(write, tmp_path: Path) -> None:
    text = write(load(tmp_path, GA_RUN))
    runs = load(tmp_path / "again", GA_RUN)
    absent = [cell.reason for row in main_table(runs).rows for cell in row.cells if cell.reason]
    assert absent and all(reason in text for reason in absent)


def test_markdown_rows_have_as_many_cells_as_heads(tmp_path: Path) -> None:
    lines = [line for line in markdown_table(load(tmp_path, HOSTILE_RUN, GA_RUN)).split("\n") if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1 and len(lines) > 3
    assert not any("<b>" in line.replace(r"\<", "") for line in lines)


def test_csv_has_every_measure_in_full_precision_and_leaves_out_what_is_absent(tmp_path: Path) -> None:
    runs = load(tmp_path, GA_RUN)
    rows = list(csv.DictReader(io.StringIO(csv_table(runs))))
    of = {(r["model"], f"{r['split']}/{r['measure']}"): r for r in rows}
    measure = runs[0].before.measure("forget/forget_quality")
    assert float(of["before", measure.key]["value"]) == measure.value
    gone = of["ga", "forget/truth_ratio"]
    assert gone["value"] == "" and gone["reason"]
    assert {r["model"] for r in rows} == {"before", "oracle", "ga"}


@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_name_stays_in_its_cell(form: str, tmp_path: Path) -> None:
    text = FORMATS[form][1](load(tmp_path, HOSTILE_RUN))
    assert "\x1b" not in text and "alert(1)" in text
    if form == "latex":
        assert r"\&" in text and not re.search(r"(?<!\\)[_#]", re.sub(r"(?m)^%.*$", "", text))
