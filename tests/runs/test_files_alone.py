"""A run's files are tables for pandas alone, in a process that cannot import this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest

import forgetting
from forgetting.core.record import Record
from forgetting.runs.results import Results
from tests.docs.pages import DOCS
from tests.pipeline.finished_run.test_ask import made

READER = """
import json, sys
from pathlib import Path
sys.modules["forgetting"] = None
import pandas as pd
run, folder = Path(sys.argv[1]), Path(sys.argv[2])
raw = json.loads((run / "results.json").read_text())
measures = pd.json_normalize(raw["evaluations"], "measures", ["point", "stage", "step"])
last = [e for e in raw["evaluations"] if e["point"] == "after"][-1]
records = pd.read_json(run / last["records"], lines=True, dtype={"id": str})
scores = pd.json_normalize(records["score"])
tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("records", "measures")}
print(json.dumps({
    "measures": [len(measures), int(measures["value"].isna().sum()), list(measures.columns)],
    "records": records[["id", "split", "prompt", "answer"]].values.tolist(),
    "columns": list(records.columns),
    "logp": scores["logp"].tolist(),
    "tables": {name: [list(table.columns), len(table)] for name, table in tables.items()},
}))
"""


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run that was really done."""
    folder = tmp_path_factory.mktemp("alone")
    return Results.load(made(world, folder, "one", [{"method": "graddiff", "adapter": {"rank": 2}}]))


def test_pandas_reads_measures_records_and_parquet_files_without_this_package(run: Results, tmp_path: Path) -> None:
    tables = {"records": forgetting.records(run.folder), "measures": forgetting.measures(run.folder)}
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
    here = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    read = subprocess.run(
        [sys.executable, "-c", READER, str(run.folder), str(tmp_path)],
        cwd=tmp_path, env=here, capture_output=True, text=True,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr[-2000:]
    said = json.loads(read.stdout)
    every = [m for e in run.evaluations for m in e.measures]
    assert said["measures"][:2] == [len(every), sum(m.value is None for m in every)]
    assert set(asdict(every[0])) | {"point", "stage", "step"} == set(said["measures"][2])
    records = run.records(run.after)
    assert said["records"] == [[r.id, r.split, r.prompt, r.answer] for r in records]
    assert said["columns"] == [f.name for f in fields(Record)]
    assert said["logp"] == [r.score.logp if r.score else None for r in records]
    assert said["tables"] == {name: [list(table.columns), len(table)] for name, table in tables.items()}


def test_the_page_names_every_column(run: Results) -> None:
    page = (DOCS / "how-to" / "results-elsewhere.md").read_text(encoding="utf-8")
    assert run.after is not None
    columns = [f.name for f in fields(Record)] + list(asdict(run.after.measures[0]))
    assert [name for name in columns if f"`{name}`" not in page] == []
