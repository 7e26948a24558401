"""Runs as logs of Inspect: what is written, and what that package itself reads in a process without this one."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.core.record import Record, Score, write_records
from forgetting.imports.export_inspect import export_inspect
from forgetting.metrics.likelihood import probability
from forgetting.runs.redact import Redactor
from forgetting.runs.results import Results
from tests.report.fixtures import IHL_RUN, NPO_RUN, write_run

INSPECT = os.environ.get("INSPECT_PYTHON") or (sys.executable if importlib.util.find_spec("inspect_ai") else None)
"""An interpreter that has inspect-ai; `make test-inspect` makes one."""
needs_inspect = pytest.mark.skipif(INSPECT is None, reason="needs inspect-ai: make test-inspect")
READER = """
import json, sys
sys.modules["forgetting"] = None  # importing it fails
from inspect_ai.analysis import evals_df, samples_df
from inspect_ai.log import list_eval_logs, read_eval_log
found = []
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info)
    means = {}
    for name in {n for s in log.samples for n in s.scores}:
        values = [s.scores[name].as_float() for s in log.samples if name in s.scores]
        means[name] = sum(values) / len(values)
    found.append({
        "status": log.status, "model": log.eval.model, "task": log.eval.task, "listed": info.task, "means": means,
        "samples": len(log.samples), "answers": [s.output.completion for s in log.samples],
        "measures": {s.name: {n: m.value for n, m in s.metrics.items()} for s in log.results.scores},
    })
runs, samples = evals_df(sys.argv[1]), samples_df(sys.argv[1])
print(json.dumps({"logs": found, "rows": [len(runs), len(samples)], "columns": list(samples.columns)}))
"""


def logs_of(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By model and task."""
    logs = [json.loads(file.read_text(encoding="utf-8")) for file in folder.iterdir()]
    return {(log["eval"]["model"], log["eval"]["task"]): log for log in logs}


def test_a_log_has_every_sample_and_every_measure_of_a_model_and_split(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "ihl", IHL_RUN))
    done = export_inspect(run.folder, tmp_path / "logs")
    logs = logs_of(tmp_path / "logs")
    assert len(logs) == len(done) and run.after is not None
    [after] = {model for model, _ in logs if model.endswith("/after")}
    assert after.startswith("ihl/")
    log, measures = logs[after, "forget"], [m for m in run.after.measures if m.split == "forget"]
    records = [r for r in run.records(run.after) if r.split == "forget"]
    assert [(s["id"], s["input"], s["target"]) for s in log["samples"]] == [(r.id, r.prompt, r.answer) for r in records]
    assert [s["output"]["choices"][0]["message"]["content"] for s in log["samples"]] == [r.generation for r in records]
    said = {s["name"]: {n: m["value"] for n, m in s["metrics"].items()} for s in log["results"]["scores"]}
    assert said == {
        m.name: {n: v for n, v in {"value": m.value, "low": m.low, "high": m.high}.items() if v is not None}
        for m in measures
        if m.value is not None
    }
    assert len(log["samples"][0]["scores"]) >= 2


def test_what_is_not_known_is_absent_and_its_reason_is_kept(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    run = Results.load(folder)
    assert run.before is not None
    measure = next(m for m in run.before.measures if m.key == "forget/probability")
    bare = Record(id="a", split="forget", prompt="q", answer="a", values={"zlib": math.nan, "loss": 0.5})
    scored = replace(bare, id="b", score=Score(-2.0, 2), generation="a")
    write_records(folder / str(run.before.records), [bare, scored])
    results = folder / "results.json"
    raw = json.loads(results.read_text())
    for evaluation in raw["evaluations"]:
        evaluation["records_sha256"] = ""
        for m in evaluation["measures"]:
            if (m["split"], m["name"]) == ("forget", "probability"):
                m |= {"value": None, "low": None, "high": None, "reason": "nobody asked"}
    results.write_text(json.dumps(raw))
    export_inspect(folder, tmp_path / "logs")
    log = logs_of(tmp_path / "logs")["ihl/before", "forget"]
    assert measure.value is not None and "probability" not in {s["name"] for s in log["results"]["scores"]}
    assert log["eval"]["metadata"]["absent"]["probability"] == "nobody asked"
    first, second = log["samples"]
    assert first["scores"] == {} and first["output"]["choices"] == [] and first["metadata"] == {"loss": 0.5}
    assert second["scores"]["probability"]["value"] == pytest.approx(math.exp(-1.0))


def test_a_redacted_record_shows_hashes_and_what_it_kept_of_its_texts(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    run = Results.load(folder)
    plain, redactor = run.records(run.before), Redactor(b"0" * 32)
    export_inspect(folder, tmp_path / "plain")
    write_records(folder / str(run.before.records), map(redactor.record, plain))
    raw = json.loads((folder / "results.json").read_text())
    for evaluation in raw["evaluations"]:
        evaluation["records_sha256"] = ""
    (folder / "results.json").write_text(json.dumps(raw))
    export_inspect(folder, tmp_path / "hidden")
    shown, hidden = (logs_of(tmp_path / name)["ihl/before", "forget"]["samples"] for name in ("plain", "hidden"))
    for a, b in zip(shown, hidden, strict=True):
        assert a["input"] not in json.dumps(b) and a["target"] not in json.dumps(b, ensure_ascii=False)
        assert {n: s["value"] for n, s in a["scores"].items()} == {n: s["value"] for n, s in b["scores"].items()}


def test_the_same_run_is_replaced_and_another_stands_beside_it(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / s.method, s) for s in (IHL_RUN, NPO_RUN))
    once = [log.file for log in export_inspect(first, tmp_path / "logs")]
    assert [log.file for log in export_inspect(first, tmp_path / "logs")] == once
    export_inspect(second, tmp_path / "logs")
    assert len(list((tmp_path / "logs").iterdir())) == 2 * len(once)


def test_the_longest_name_of_a_split_names_a_file_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    run = Results.load(folder)
    splits = ["\U00020000" * 300, "\U00020000" * 300 + "b"]
    assert run.before is not None
    write_records(folder / str(run.before.records), [Record(id="a", split=s, prompt="q", answer="a") for s in splits])
    raw = json.loads((folder / "results.json").read_text())
    for evaluation in raw["evaluations"]:
        evaluation["records_sha256"] = ""
    (folder / "results.json").write_text(json.dumps(raw))
    export_inspect(folder, tmp_path / "logs")
    assert [task for model, task in sorted(logs_of(tmp_path / "logs")) if model == "ihl/before"] == splits


def test_a_run_without_records_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ihl", IHL_RUN)
    raw = json.loads((folder / "results.json").read_text())
    for evaluation in raw["evaluations"]:
        evaluation["records"] = None
    (folder / "results.json").write_text(json.dumps(raw))
    with pytest.raises(RunError, match="has no records of any model"):
        export_inspect(folder, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


@needs_inspect
def test_inspect_lists_and_reads_them_where_this_package_cannot_be_imported(tmp_path: Path) -> None:
    run = Results.load(write_run(tmp_path / "ihl", IHL_RUN))
    done = export_inspect(run.folder, tmp_path / "logs")
    here = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    read = subprocess.run(
        [str(INSPECT), "-c", READER, str(tmp_path / "logs")], cwd=tmp_path, env=here, capture_output=True, text=True
    )
    assert read.returncode == 0, read.stderr[-3000:]
    said = json.loads(read.stdout.splitlines()[-1])
    assert said["rows"] == [len(done), sum(log.samples for log in done)]
    assert {"input", "target", "score_probability"} <= set(said["columns"])
    by_log = {(log["model"], log["task"]): log for log in said["logs"]}
    assert set(by_log) == {(log.model, log.task) for log in done}
    assert run.after is not None
    log = next(log for (model, task), log in by_log.items() if model.endswith("/after") and task == "forget")
    records = [r for r in run.records(run.after) if r.split == "forget"]
    assert log["status"] == "success" and log["listed"] == "forget"
    assert log["answers"] == [r.generation for r in records]
    known = [p for p in map(probability.value_of, records) if p is not None]
    assert log["means"]["probability"] == pytest.approx(sum(known) / len(known))
    measured = {m.name: m.value for m in run.after.measures if m.split == "forget" and m.value is not None}
    assert {name: values["value"] for name, values in log["measures"].items()} == measured


@needs_inspect
def test_its_viewer_packs_them_into_a_page(tmp_path: Path) -> None:
    done = export_inspect(write_run(tmp_path / "ihl", IHL_RUN), tmp_path / "logs")
    asked = ["view", "bundle", "--log-dir", str(tmp_path / "logs"), "--output-dir", str(tmp_path / "page")]
    program = "import sys; from inspect_ai._cli.main import main; sys.argv = ['inspect', *sys.argv[1:]]; main()"
    packed = subprocess.run([str(INSPECT), "-c", program, *asked], cwd=tmp_path, capture_output=True, text=True)
    assert packed.returncode == 0, packed.stderr[-2000:]
    listed = json.loads((tmp_path / "page" / "logs" / "listing.json").read_text())
    assert {(log["model"], log["task"], log["status"]) for log in listed.values()} == {
        (log.model, log.task, "success") for log in done
    }
    assert (tmp_path / "page" / "index.html").is_file()
