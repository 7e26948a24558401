"""One run measured: before, during and after its stages, against one 'before' and one oracle."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Suite
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.processes import on_first
from forgetting.core.progress import Voice
from forgetting.core.record import write_records
from forgetting.metrics.alarm import Alarm, knowledge_alarm
from forgetting.metrics.balance import balance
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.likelihood import memorization_accuracy
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.records import Taken, take
from forgetting.pipeline.run.suites import fast_suite_of, stop_splits, suite_of, without_overlaps
from forgetting.recipe import Recipe, Stage
from forgetting.runs.redact import Redactor
from forgetting.training.flops import records_work


@dataclass(frozen=True)
class Evaluation:
    """One measurement of one model."""

    point: str
    """`before`, `oracle`, `epoch` or `after`."""
    stage: str | None
    step: int
    epoch: float
    records: str | None
    measures: Sequence[Measure]
    seconds: float
    work: Mapping[str, int] | None = None
    """What its records took, as far as they tell; None where that was not recorded."""

    def to_json(self) -> dict[str, object]:
        """For results.json."""
        return {**asdict(self), "measures": [asdict(m) for m in self.measures]}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Evaluation:
        """Back from `to_json`."""
        measures = [Measure(**m) for m in values["measures"]]  # type: ignore[attr-defined]
        return cls(**{**values, "measures": measures})  # type: ignore[arg-type]


class _Frame:
    """A suite, with what the model before and the oracle gave on it."""

    def __init__(self, suite: Suite, before: Taken, oracle: Taken | None) -> None:
        self.suite, self.before, self.oracle = suite, before, oracle
        self.start = before.measures(suite, oracle)
        self.goal = None if oracle is None else oracle.measures(suite, oracle)

    def reduced(self, suite: Suite) -> _Frame:
        """The same of a smaller suite."""
        return _Frame(
            suite, self.before.only_asked(suite), None if self.oracle is None else self.oracle.only_asked(suite)
        )

    def measures(self, taken: Taken, stage: str) -> list[Measure]:
        """All measures, and the balance that a stage's checkpoints are compared by."""
        found = taken.measures(self.suite, self.oracle)
        return [*found, balance(found, self.start, self.goal, of=self.suite.declared(stage).balance)]


class Measurer:
    """Measures a run's model, and writes every evaluation as a file of the run.

    Args:
        folder: the run's.
        recipe: what is run.
        data: of every stage, by its name.
        tokenizer: the model's.
        voice: where progress goes.
        before: what the model gave before the first stage on `suite_of(recipe, data)`.
        oracle: the same of a model that never saw the forget set.
        redactor: of a run whose records are written without texts.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        data: Mapping[str, StageData],
        tokenizer: PreTrainedTokenizerBase,
        voice: Voice,
        *,
        before: Taken,
        oracle: Taken | None,
        redactor: Redactor | None = None,
    ) -> None:
        self.redactor = redactor
        self.folder, self.recipe, self.tokenizer, self.voice = folder, recipe, tokenizer, voice
        self._full = _Frame(suite_of(recipe, data), before, oracle)
        self._fast = {s.name: self._full.reduced(fast_suite_of(recipe, data, s)) for s in recipe.stages}
        self.rules = {s.name: self._rule(s) for s in recipe.stages}

    @property
    def suite(self) -> Suite:
        """What is measured before, between and after the stages."""
        return self._full.suite

    def alarm(self, stage: Stage) -> Alarm:
        """What rings at an evaluation in the middle of a stage, against the model that the stage begins with."""
        frame = self._fast[stage.name]
        names = [s.name for s in self.recipe.stages]
        earlier = [self._file("after", name, 0) for name in names[: names.index(stage.name)]]

        def start() -> Sequence[Measure]:
            left = next((file for file in reversed(earlier) if file.is_file()), None)
            return frame.start if left is None else Evaluation.from_json(json.loads(left.read_text())).measures

        return knowledge_alarm(frame.suite.declared(stage.name), on_first(start), stage.collapse_at)

    def fixed_points(self) -> None:
        """Writes the evaluations of the model before and of the oracle."""
        on_first(self._write_fixed_points)

    def _write_fixed_points(self) -> None:
        self._write("before", None, 0, 0.0, self._full.before, self._full.start, 0.0)
        if self._full.oracle is not None and self._full.goal is not None:
            self._write("oracle", None, 0, 0.0, self._full.oracle, self._full.goal, 0.0)

    def after(self, model: nn.Module, *, stage: str, step: int, epoch: float) -> Evaluation:
        """The full suite on the model as a stage leaves it."""
        return self._measure("after", self._full, model, stage, step, epoch)

    def during(self, model: nn.Module, *, stage: str, step: int, epoch: float) -> Evaluation:
        """The stage's fast suite in the middle of it; found again after a resume.

        Where the stop rule's MA is not low enough, its EL decides nothing and is not decoded: it costs most by far.
        """
        return self._measure("epoch", self._fast[stage], model, stage, step, epoch, rule=self.rules[stage])

    def _take(self, model: nn.Module, frame: _Frame, stage: str, rule: StopRule | None) -> Taken:
        if rule is not None:
            quick = take(model, self.tokenizer, without_overlaps(frame.suite), self.recipe, self.voice)
            within_reach = rule.within_reach
            if not on_first(lambda: within_reach(frame.measures(quick, stage))):
                return quick
        return take(model, self.tokenizer, frame.suite, self.recipe, self.voice)

    def _rule(self, stage: Stage) -> StopRule | None:
        """When the stage has reached its goal: the thresholds are those of the model before the first stage."""
        if stage.until is None:
            return None
        forget, unseen, n = stop_splits(stage, self.suite)
        return StopRule(Thresholds.of(self._full.start, split=unseen, n=n), forget)

    def _measure(
        self,
        point: str,
        frame: _Frame,
        model: nn.Module,
        stage: str,
        step: int,
        epoch: float,
        rule: StopRule | None = None,
    ) -> Evaluation:
        file = self._file(point, stage, step)
        kept = on_first(lambda: json.loads(file.read_text()) if file.is_file() else None)
        if kept is not None:
            return Evaluation.from_json(kept)
        began = time.perf_counter()
        taken = self._take(model, frame, stage, rule)

        def measured() -> Evaluation:
            measures = frame.measures(taken, stage)
            seconds = time.perf_counter() - began
            work = None if frame.suite.probes else asdict(records_work(taken.records, self._tokens))
            return self._write(point, stage, step, epoch, taken, measures, seconds, work)

        return on_first(measured)  # what is decided by them is decided alike everywhere

    def _tokens(self, text: str) -> int:
        return len(self.tokenizer(text)["input_ids"])

    def _file(self, point: str, stage: str | None, step: int) -> Path:
        name = point if stage is None else f"{stage}-{point}" + (f"-{step:06d}" if point == "epoch" else "")
        return self.folder / "evaluations" / f"{name}.json"

    def _write(
        self,
        point: str,
        stage: str | None,
        step: int,
        epoch: float,
        taken: Taken,
        measures: Sequence[Measure],
        seconds: float,
        work: Mapping[str, int] | None = None,
    ) -> Evaluation:
        file = self._file(point, stage, step)
        kept = None
        if point != "epoch":
            kept = f"records/{file.stem}.jsonl"
            (self.folder / "records").mkdir(parents=True, exist_ok=True)
            said = taken.records if self.redactor is None else map(self.redactor.record, taken.records)
            write_records(self.folder / kept, said)
        evaluation = Evaluation(point, stage, step, epoch, kept, measures, seconds, work)
        write_text(file, json.dumps(evaluation.to_json()))
        return evaluation


@dataclass(frozen=True)
class StopRule:
    """LoKU's: EL_n and MA of the forget set at or below those of text that the model has never seen (App. B)."""

    thresholds: Thresholds
    forget: str
    """The split that is to come below them."""

    def __call__(self, measures: Sequence[Measure]) -> bool:
        """Whether the goal is reached."""
        return self.within_reach(measures) and self.thresholds.reached(measures, split=self.forget)

    def within_reach(self, measures: Sequence[Measure]) -> bool:
        """Whether MA alone is low enough."""
        accuracy = next((m.value for m in measures if m.key == f"{self.forget}/{memorization_accuracy.name}"), None)
        return accuracy is None or accuracy <= self.thresholds.memorization_accuracy

    def __str__(self) -> str:
        at = self.thresholds
        return (
            f"{self.forget} has EL_{at.n} ≤ {at.extraction_likelihood:.4f} and MA ≤ {at.memorization_accuracy:.4f}, "
            "as unseen text had before"
        )
