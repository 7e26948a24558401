"""Experiment trackers (`report_to`): curves while a run trains and is measured, and its report at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.processes import is_first
from forgetting.recipe import Recipe
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results

PROJECT = "forgetting"
"""What all runs are collected under; a run has its own name there."""


@dataclass
class Tracking:
    """The trackers of a run; without any, nothing is sent.

    Steps count on from stage to stage, for trackers refuse to go back.
    """

    trackers: list[Any] = field(default_factory=list)
    stage: str = ""
    before: int = 0
    """Steps of the stages before this one."""

    def begun(self, folder: RunFolder) -> None:
        """What was measured before the first stage: of the model, and of the oracle."""
        for evaluation in folder.evaluations.all() if self.trackers else ():
            if evaluation.point in ("before", "oracle"):
                self.evaluated(evaluation)

    def begin(self, stage: str, before: int) -> None:
        """What follows is of this stage, after so many steps of earlier ones."""
        self.stage, self.before = stage, before

    def step(self, values: Mapping[str, float], step: int) -> None:
        """Numbers of one training step of the stage: `STAGE/loss`, `STAGE/gradient_norm`, `STAGE/ROLE` of each term."""
        self._send({f"{self.stage}/{name}": value for name, value in values.items()}, step)

    def evaluated(self, evaluation: Evaluation) -> None:
        """What was measured: `measured/SPLIT/NAME`, at the step at which it was; of the oracle `oracle/SPLIT/NAME`."""
        start = "oracle" if evaluation.point == "oracle" else "measured"
        values = {f"{start}/{m.key}": m.value for m in evaluation.measures if m.value is not None}
        self._send(values, evaluation.step)

    def report(self, results: Results, page: Path) -> None:
        """The page of the run as an artifact; to a tracker without artifacts, the last measures as a table of text."""
        for tracker in self.trackers:
            if tracker.name in ("wandb", "trackio"):
                tracker.tracker.log_artifact(str(page), name=f"report-{results.name}", type="report")
            elif tracker.name == "mlflow":
                tracker.log_artifact(str(page))
            elif tracker.name == "tensorboard":
                tracker.writer.add_text("report", _table(results, page))

    def _send(self, values: Mapping[str, float], step: int) -> None:
        known = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        for tracker in self.trackers:
            tracker.log(known, step=self.before + step)


@contextmanager
def tracking(recipe: Recipe) -> Iterator[Tracking]:
    """The trackers of `report_to`, in the first process; they are ended afterwards, whatever happens.

    TensorBoard and Weights & Biases write into the run's folder; trackio into its own store (`TRACKIO_DIR`).
    """
    if not (recipe.report_to and is_first()):
        yield Tracking()
        return
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState(cpu=True)  # its trackers ask it which process they are in
    folder = RunFolder(recipe.folder).trackers
    folder.mkdir(parents=True, exist_ok=True)
    trackers = []
    try:
        for name in recipe.report_to:
            made = LOGGER_TYPE_TO_CLASS[name](**_arguments(LOGGER_TYPE_TO_CLASS[name], recipe, folder))
            made.start()
            trackers.append(made)
            made.store_init_configuration(_settings(recipe))
        yield Tracking(trackers)
    finally:
        for tracker in trackers:  # not Accelerator.end_training, which ends the group of processes too
            tracker.finish()


def check_trackers(recipe: Recipe) -> None:
    """Checks that accelerate knows every tracker of `report_to` and that it is installed.

    Raises:
        RecipeError: one is unknown or not installed.
    """
    if not recipe.report_to:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    installed = {str(name) for name in get_available_trackers()}
    for name in recipe.report_to:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise RecipeError(f"report_to: unknown tracker '{name}'; {nearest(name, LOGGER_TYPE_TO_CLASS)}")
        if name not in installed:
            raise RecipeError(f"report_to: the package of '{name}' is not installed; pip install {name}")


def _arguments(kind: Any, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """How a tracker of accelerate is made: the project, the run's name, and where it writes."""
    of_its_own = {"wandb": {"name": recipe.name, "dir": str(folder)}, "trackio": {"name": recipe.name}}
    named = {"run_name": recipe.name if kind.name == "tensorboard" else PROJECT}
    where = {"logging_dir": str(folder)} if kind.requires_logging_directory else {}
    return {**named, **where, **of_its_own.get(kind.name, {})}


def _settings(recipe: Recipe) -> dict[str, bool | int | float | str]:
    """The recipe's plain values, each by its keys joined by dots."""
    return dict(_flat(recipe.model_dump(mode="json"), ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, bool | int | float | str]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from _flat(member, f"{name}.{key}" if name else str(key))
    if isinstance(value, bool | int | float | str):
        yield name, value


def _table(results: Results, page: Path) -> str:
    """The measures before, after and of the oracle, in Markdown."""
    points = {e.point: e for e in results.evaluations if e.point != "epoch"}  # of several stages the last
    keys = dict.fromkeys(m.key for e in points.values() for m in e.measures if m.value is not None)
    rows = [f"| {key} | " + " | ".join(_cell(e, key) for e in points.values()) + " |" for key in keys]
    head = ["measure", *points]
    return "\n".join([f"The page: `{page}`", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def _cell(evaluation: Evaluation, key: str) -> str:
    measure = evaluation.measure(key)
    return "" if measure is None or measure.value is None else f"{measure.value:.4g}"
