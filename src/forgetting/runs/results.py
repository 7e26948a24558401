"""A run folder as typed values: what `results.json` and the stages' histories say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from forgetting.core.declaration import Declaration
from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.record import Record, read_records
from forgetting.runs.undeclared import guessed

FORMAT = 1
"""Of results.json and sweep.json: a file of another format is not read."""
T = TypeVar("T")

Status = Literal["complete", "collapsed", "stopped"]
Point = Literal["before", "oracle", "epoch", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured at one point of a run."""

    point: Point
    stage: str | None = None
    step: int = 0
    epoch: float = 0.0
    records: str | None = None
    """Path of the record file inside the run folder; None where records were not kept."""
    measures: tuple[Measure, ...] = ()

    def measure(self, key: str) -> Measure | None:
        """The measure `split/name`, or None if this evaluation does not have it."""
        return next((m for m in self.measures if m.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """How one stage went."""

    name: str
    method: str
    adapter: str = ""
    steps: int = 0
    epochs: float = 0.0
    stopped: str = ""
    success: bool | None = None
    """Whether the stop rule was satisfied; None where there was none."""
    thresholds: Mapping[str, float] | None = None
    message: str = ""
    kept: str = ""
    learning_rate: float | None = None
    transform: Mapping[str, Any] | None = None
    """Name and parameters of what it did to the weights, if it did not train; `method` is the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the run took: seconds, bytes, counts, FLOPs. None where it was not recorded."""

    seconds: float | None = None
    prepare_seconds: float | None = None
    train_seconds: float | None = None
    evaluation_seconds: float | None = None
    peak_memory_bytes: int | None = None
    trainable_parameters: int | None = None
    total_parameters: int | None = None
    steps: int | None = None
    supervised_tokens: int | None = None
    flops: Mapping[str, float | str | None] = field(default_factory=dict)
    """By role, `reference`, `importance`, `evaluation` and `total`; `reason` says why there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One setting that was tried; `score` is None where the trial gave none."""

    label: str
    score: float | None = None
    chosen: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How a setting was chosen among candidates."""

    rule: str
    candidates: tuple[Candidate, ...] = ()
    budget: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step of a stage's history."""

    step: int
    epoch: float = 0.0
    loss: float | None = None
    terms: Mapping[str, float | None] = field(default_factory=dict)
    weights: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that a report says of one run."""

    folder: Path
    name: str
    status: Status
    created: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_yaml: str = ""
    question: str = ""
    model: str = ""
    oracle: str | None = None
    suite: str = ""
    declaration: Declaration | None = None
    """What the suites declared to count; None in files that are older than declarations."""
    redacted: bool = False
    """Whether keyed hashes stand in its files instead of texts."""
    purged: str = ""
    """When what held texts or earlier weights was removed; empty where it was not."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    corpus: Mapping[str, Any] | None = None
    """What was drawn of each source of a corpus; None where a run trains on whole sets."""
    evaluations: tuple[Evaluation, ...] = ()
    stages: tuple[StageResult, ...] = ()
    cost: Cost = field(default_factory=Cost)
    selection: Selection | None = None

    @classmethod
    def load(cls, folder: Path) -> Results:
        """The results of a run folder.

        A measure whose value is not finite counts as missing; its reason says so.

        Raises:
            RunError: no such folder, no `results.json` in it, or a file that does not hold what a run writes.
        """
        file = folder / "results.json"
        if not folder.is_dir():
            raise RunError(f"{folder}: no such run folder; name the folder of a finished run")
        if not file.is_file():
            raise RunError(f"{folder}: no results.json in it; the run has not finished, start it again to go on")
        results = read_results(_RESULTS, file)
        return replace(results, evaluations=tuple(_finite(e) for e in results.evaluations))

    @property
    def declared(self) -> Declaration:
        """What counts among its measures; read from their names where the file is too old to say."""
        if self.declaration is not None:
            return self.declaration
        keys = dict.fromkeys(m.key for m in self.measures)
        return guessed(list(keys), [stage.name for stage in self.stages], trains=self.trains)

    @property
    def measures(self) -> list[Measure]:
        """Those of its end first, so that a measure of the start alone does not stand in front."""
        found = [e for e in (self.after, self.before, self.oracle_evaluation) if e is not None]
        return [m for evaluation in (*found, *self.evaluations) for m in evaluation.measures]

    @property
    def before(self) -> Evaluation | None:
        """The model as it was given; None if it was not measured."""
        return next((e for e in self.evaluations if e.point == "before"), None)

    @property
    def trains(self) -> bool:
        """Whether a stage learns data of its own, and not only what is retained."""
        return any(name.split(" ")[0] == "train" for name in self.data)

    @property
    def oracle_evaluation(self) -> Evaluation | None:
        """The model that never saw the forget set; None if there is none."""
        return next((e for e in self.evaluations if e.point == "oracle"), None)

    @property
    def afters(self) -> tuple[Evaluation, ...]:
        """The model after each measured stage, in order."""
        return tuple(e for e in self.evaluations if e.point == "after")

    @property
    def after(self) -> Evaluation | None:
        """The model that the run ends with; None if it was not measured."""
        return self.afters[-1] if self.afters else None

    def records(self, evaluation: Evaluation | None) -> list[Record]:
        """The records of an evaluation, empty where none were kept.

        Raises:
            RunError: `results.json` names a file that is missing, garbled or outside the run folder.
        """
        if evaluation is None or evaluation.records is None:
            return []
        path = self.folder / evaluation.records
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise RunError(f"{self.folder / 'results.json'}: records {evaluation.records!r} lie outside the run folder")
        return read_records(path)

    def history(self, stage: str) -> list[Step]:
        """The optimiser steps of a stage, empty where it wrote none.

        Raises:
            RunError: a line of `history.jsonl` is not a step.
        """
        path = self.folder / "stages" / stage / "history.jsonl"
        if not path.is_file():
            return []
        steps = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                steps.append(_STEP.validate_python(json.loads(line)))
            except ValueError as error:
                raise RunError(
                    f"{path}:{number}: not a training step; remove the line or run the stage again"
                ) from error
        return steps

    def token_selection(self, stage: str) -> Mapping[str, Any] | None:
        """What a stage's `selection.json` holds: how its answer tokens were selected. None where it selected none.

        Raises:
            RunError: the file is not readable as a JSON object.
        """
        path = self.folder / "stages" / stage / "selection.json"
        if not path.is_file():
            return None
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{path}: not readable as JSON ({error}); select the tokens again") from error
        if not isinstance(raw, dict):
            raise RunError(f"{path}: holds a {type(raw).__name__}, not a selection; select the tokens again")
        return raw


_RESULTS = TypeAdapter(Results)
_STEP = TypeAdapter(Step)


def labels(runs: Sequence[Results]) -> list[str]:
    """One name per run, told apart by the folder, then by a number, where two runs share a name."""
    names = [run.name for run in runs]
    named = [n if names.count(n) == 1 else f"{n} ({run.folder.name})" for n, run in zip(names, runs, strict=True)]
    return [n if named.count(n) == 1 else f"{n} #{1 + named[:i].count(n)}" for i, n in enumerate(named)]


def read_results(kind: TypeAdapter[T], file: Path) -> T:
    """A results file as a typed value, which also gets its `folder`.

    Raises:
        RunError: the file does not hold what this version writes.
    """
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{file}: not readable as JSON ({error}); run it again") from error
    if not isinstance(raw, dict):
        raise RunError(f"{file}: holds a {type(raw).__name__}, not the results of a run; run it again")
    if raw.get("format") != FORMAT:
        raise RunError(f"{file}: format is {raw.get('format')!r}, this version reads {FORMAT}; run it again")
    try:
        return kind.validate_python({**raw, "folder": file.parent})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{file}: {place}: {first['msg'].lower()}; run it again or mend the file") from error


def _finite(evaluation: Evaluation) -> Evaluation:
    """JSON of a collapsed run may hold NaN: such a value is missing, such an interval is no interval."""
    measures = []
    for m in evaluation.measures:
        if m.value is not None and not math.isfinite(m.value):
            m = replace(
                m, value=None, low=None, high=None, reason=m.reason or f"the value is {m.value}, not a finite number"
            )
        if m.low is None or m.high is None or not (math.isfinite(m.low) and math.isfinite(m.high)):
            m = replace(m, low=None, high=None)
        measures.append(m)
    return replace(evaluation, measures=tuple(measures))
