"""A run with trackers writes curves of terms and measures, and its report; read back from what the trackers wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate import tracking as of_accelerate

from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.pipeline.run.run import run
from forgetting.pipeline.run.tracking import Tracking, check_trackers
from forgetting.recipe import Recipe, load_recipe, recipe_from
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results


class Recorder(of_accelerate.GeneralTracker):
    """A tracker that keeps what it is told."""

    name = "recorder"
    requires_logging_directory = False
    made: list[Recorder] = []  # noqa: RUF012 - looked at by the test

    def __init__(self, run_name: str) -> None:
        self.logged: list[tuple[dict[str, float], int | None]] = []
        self.settings: dict[str, Any] = {}
        self.ended = False
        self.made.append(self)

    @property
    def tracker(self) -> Recorder:
        return self

    def start(self) -> None: ...

    def store_init_configuration(self, values: dict) -> None:
        self.settings = values

    def log(self, values: dict, step: int | None = None, **keys: Any) -> None:
        self.logged.append((values, step))

    def finish(self) -> None:
        self.ended = True


def recipe(**keys: object) -> Recipe:
    return recipe_from({"model": "m", "data": {"train": "t.jsonl"}, "stages": [{"method": "sft"}], **keys})


def tracked(recipe_file: Path, name: str) -> Recipe:
    """Two stages, the first measured on the way."""
    keys = yaml.safe_load(recipe_file.read_text())
    first = {**keys["stages"][0], "duration": "6 steps", "evaluate_every": "3 steps"}
    keys["stages"] = [first, {**first, "name": "again", "duration": "2 steps", "evaluate_every": None}]
    recipe_file.write_text(yaml.safe_dump({**keys, "report_to": [name]}))
    return load_recipe(str(recipe_file))


def curve(logged: list[tuple[dict[str, float], int | None]], name: str) -> list[tuple[int | None, float]]:
    return [(step, values[name]) for values, step in logged if name in values]


def expected(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that the run's own files hold."""
    found: dict[str, list[tuple[int, float]]] = {}
    for stage, before in (("unlearn", 0), ("again", 6)):
        for line in (folder / "stages" / stage / "history.jsonl").read_text().splitlines():
            step = json.loads(line)
            for name, value in {"loss": step["loss"], **step["terms"]}.items():
                found.setdefault(f"{stage}/{name}", []).append((before + step["step"], value))
    key = "forget/probability"
    at = {"before": 0, "unlearn-epoch-000003": 3, "unlearn-epoch-000006": 6, "unlearn-after": 6, "again-after": 8}
    evaluations = {name: json.loads((folder / "evaluations" / f"{name}.json").read_text()) for name in at}
    found[f"measured/{key}"] = [
        (at[name], m["value"])
        for name, e in evaluations.items()
        for m in e["measures"]
        if (m["split"], m["name"]) == ("forget", "probability")
    ]
    return found


def test_every_step_and_evaluation_is_sent_and_steps_count_on_from_stage_to_stage(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(of_accelerate.LOGGER_TYPE_TO_CLASS, "recorder", Recorder)
    monkeypatch.setattr(of_accelerate, "get_available_trackers", lambda: ["recorder"])
    monkeypatch.setattr(Recorder, "made", [])
    folder = run(tracked(recipe_file, "recorder"))
    [recorder] = Recorder.made
    for name, points in expected(folder).items():
        assert curve(recorder.logged, name) == [(step, pytest.approx(value)) for step, value in points], name
    steps = [step for _, step in recorder.logged]
    assert steps == sorted(steps), "no tracker is asked to go back"
    assert recorder.ended and recorder.settings["stages.1.name"] == "again"


def test_what_is_no_number_is_left_out() -> None:
    recorder = Recorder("x")
    tracking = Tracking([recorder])
    tracking.begin("unlearn", 10)
    tracking.step({"loss": math.nan, "forget": 2.0}, 3)
    measures = (Measure(name="a", split="s", value=None, count=0), Measure(name="b", split="s", value=1.0, count=2))
    tracking.evaluated(Evaluation(point="oracle", measures=measures))
    assert recorder.logged == [({"unlearn/forget": 2.0}, 13), ({"oracle/s/b": 1.0}, 10)]


def test_a_tracker_that_is_unknown_or_not_installed_is_named() -> None:
    with pytest.raises(RecipeError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        check_trackers(recipe(report_to=["tensorbord"]))
    with pytest.raises(RecipeError, match="the package of 'comet_ml' is not installed; pip install comet_ml"):
        check_trackers(recipe(report_to=["comet_ml"]))
    check_trackers(recipe())


def test_tensorboard_holds_the_curves_and_the_table_of_the_report(recipe_file: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: make test-trackers")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(tracked(recipe_file, "tensorboard"))
    events = EventAccumulator(str(folder / "trackers" / "run"))
    events.Reload()
    for name, points in expected(folder).items():
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in points], name
    [text] = events.Tensors("report/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    after = Results.load(folder).after
    assert after is not None
    value = next(m.value for m in after.measures if m.key == "forget/probability")
    assert "report.html" in table and f"{value:.4g}" in table


def test_wandb_offline_holds_the_curves_and_the_page(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: make test-trackers")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(recipe_file.parent / name))
    folder = run(tracked(recipe_file, "wandb"))
    history, artifacts = of_wandb(next((folder / "trackers" / "wandb").glob("offline-run-*/run-*.wandb")))
    for name, points in expected(folder).items():
        found: dict[int, float] = {row["_step"]: row[name] for row in history if name in row}
        assert found == pytest.approx(dict(points), rel=1e-6), name
    assert artifacts == [("report-run", "report", ["report.html"])]


def of_wandb(file: Path) -> tuple[list[dict[str, Any]], list[tuple[str, str, list[str]]]]:
    """The rows and the artifacts that an offline file holds."""
    from wandb.proto import wandb_internal_pb2

    rows: list[dict[str, Any]] = []
    artifacts: list[tuple[str, str, list[str]]] = []
    for data in leveldb_records(file.read_bytes()[7:], start=7):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = record.history.item
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
        found = record.artifact if record.HasField("artifact") else None
        if record.HasField("request") and record.request.HasField("log_artifact"):
            found = record.request.log_artifact.artifact
        if found is not None:
            artifacts.append((found.name, found.type, [entry.path for entry in found.manifest.contents]))
    return rows, artifacts


def leveldb_records(data: bytes, start: int) -> Iterator[bytes]:
    """The records of LevelDB's log format: blocks of 32 KiB; checksum (4), length (2), whole, first, middle or last."""
    place, held = 0, b""
    while place + 7 <= len(data):
        left = 32768 - (place + start) % 32768
        if left < 7:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        held += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield held
            held = b""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """trackio's local store, which it reads from the environment when it is imported."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "store"))
    yield tmp_path / "store"


def test_trackio_holds_the_curves_and_the_page(recipe_file: Path, store: Path) -> None:
    pytest.importorskip("trackio", reason="trackio is not installed: make test-trackers")
    folder = run(tracked(recipe_file, "trackio"))
    from trackio.sqlite_storage import SQLiteStorage

    assert SQLiteStorage.get_runs("forgetting") == ["run"]
    rows = SQLiteStorage.get_logs("forgetting", "run")
    for name, points in expected(folder).items():
        found = {row["step"]: row[name] for row in rows if name in row}
        assert found == pytest.approx(dict(points), rel=1e-6), name
    assert any(file.read_bytes() == (folder / "report.html").read_bytes() for file in files(store))


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]
