"""Runs as tables of pandas: a row for each measure and each record, with nothing made up."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import forgetting
from forgetting.core.errors import RunError
from forgetting.core.record import Record, Score, write_records
from forgetting.runs.results import Results
from tests.report.fixtures import GA_RUN, IHL_RUN, NPO_RUN, write_run


def test_every_measure_is_a_row_with_its_place(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / s.method, s) for s in (IHL_RUN, NPO_RUN)]
    found = forgetting.measures(*folders)
    runs = [Results.load(folder) for folder in folders]
    assert len(found) == sum(len(e.measures) for run in runs for e in run.evaluations)
    row = found.query("run == 'ihl' and point == 'after' and split == 'retain' and measure == 'probability'").iloc[0]
    m = runs[0].after.measure("retain/probability")
    assert (row["value"], row["low"], row["high"], row["count"]) == (m.value, m.low, m.high, m.count)


def test_an_absent_value_is_missing_and_keeps_its_reason(tmp_path: Path) -> None:
    found = forgetting.measures(write_run(tmp_path / "ga", GA_RUN))
    absent = found[found["value"].isna()]
    assert len(absent) and (absent["reason"] != "").all() and found["value"].dtype == "float64"


def test_records_have_their_scores_and_texts(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    run = Results.load(folder)
    found = forgetting.records(folder)
    assert len(found) == sum(len(run.records(e)) for e in run.evaluations)
    one = run.records(run.before)[0]
    row = found.query("point == 'before'").iloc[0]
    assert (row["id"], row["answer"], row["logp"]) == (one.id, one.answer, one.score.logp)
    assert row["probability"] == pytest.approx(one.score.probability)


def test_wrong_answers_and_other_numbers_come_along_and_types_do_not_change(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    run = Results.load(folder)
    plain = Record(id="a", split="forget", prompt="q", answer="a")
    full = replace(
        plain, id="b", score=Score(-2.0, 2), perturbed=(Score(-4.0, 4),), values={"zlib": 0.5}, popularity=3.0
    )
    write_records(folder / str(run.before.records), [plain, full])
    found = forgetting.records(folder).query("point == 'before'").set_index("id")
    assert found.loc["b", "perturbed"][0]["logp"] == -4.0 and found.loc["b", "values.zlib"] == 0.5
    assert pd.isna(found.loc["a", ["logp", "popularity", "generation", "tokens"]]).all()
    assert found["tokens"].dtype == "Int64" and found["logp"].dtype == "float64"


def test_a_table_is_written_as_parquet_and_read_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    for name, frame in (("records", forgetting.records(folder)), ("measures", forgetting.measures(folder))):
        frame.to_parquet(tmp_path / f"{name}.parquet")
        again = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert list(again.columns) == list(frame.columns) and len(again) == len(frame)


@pytest.mark.parametrize("table", [forgetting.records, forgetting.measures])
def test_no_run_and_a_folder_that_is_none_are_said(table, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="name at least one"):
        table()
    with pytest.raises(RunError, match="no such folder"):
        table(tmp_path / "none")
