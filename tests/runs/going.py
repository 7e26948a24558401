"""Folders of runs that are not finished, as a run leaves them on its way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from forgetting.core.measure import Measure
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.stage_result import StageResult, Step

SECONDS = (0.9, 0.5, 0.1)
"""Of steps, in turn: their median is 0.5 and their mean is not."""


def going(
    folder: Path, *, steps: int = 34, total: int = 60, every: str = "12 steps", stages: Sequence[str] = ("unlearn",)
) -> Path:
    """A run in the middle of its first stage, with the start and the evaluations up to there measured."""
    run = begun(folder, every=every, total=total, stages=stages)
    first = run.stage(stages[0])
    first.path.mkdir(parents=True)
    first.write_prepared(1.5, total)
    for step in range(1, steps + 1):
        first.append_step(step_of(step))
    run.evaluations.write(Evaluation(point="before", measures=measures(0.9, 0.95)), [])
    for step in range(12, steps + 1, 12):
        at = Evaluation(
            point="epoch", stage=stages[0], step=step, measures=measures(0.9 - step / 100, 0.9), seconds=4.0
        )
        run.evaluations.write(at, [])
    return folder


def begun(folder: Path, *, every: str = "12 steps", total: int = 60, stages: Sequence[str] = ("unlearn",)) -> RunFolder:
    """A run of which only the recipe is there."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    recipe = {
        "name": folder.name,
        "model": "lab",
        "stages": [
            {"name": name, "method": {"name": "graddiff"}, "duration": f"{total} steps", "evaluate_every": every}
            for name in stages
        ],
    }
    run.write_recipe(yaml.safe_dump(recipe))
    return run


def ended(run: RunFolder, stage: str, steps: int) -> None:
    """Marks that a stage was trained."""
    run.stage(stage).write_result(StageResult(name=stage, method="graddiff", steps=steps, total=steps))


def step_of(step: int) -> Step:
    """A step whose forget term rises and whose retain term falls."""
    return Step(
        step=step,
        epoch=step / 5,
        loss=-step / 10,
        terms={"forget": step / 10, "retain": 1 / step},
        weights={"forget": -1.0, "retain": 1.0},
        seconds=SECONDS[step % 3],
    )


def measures(forget: float, retain: float) -> tuple[Measure, ...]:
    """What is left of both sets, with intervals of 0.05 to each side."""
    return tuple(
        Measure(
            name="probability", split=split, value=value, count=78, low=value - 0.05, high=value + 0.05, direction=to
        )
        for split, value, to in (("forget", forget, "down"), ("retain", retain, "up"))
    )
