"""Evaluates a run before, during and after training, relative to one 'before' and one oracle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from torch import nn

from forgetting.benchmarks.suite import Suite
from forgetting.core.measure import Measure
from forgetting.core.processes import by_first, on_first
from forgetting.core.progress import Voice
from forgetting.core.record import Record
from forgetting.evaluation.to_reference import ToReference
from forgetting.metrics.alarm import Alarm, knowledge_alarm
from forgetting.metrics.balance import balance
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.goal import Goal
from forgetting.metrics.movement import Movement, movement
from forgetting.metrics.popularity import ByPopularity
from forgetting.metrics.to_reference import is_distance
from forgetting.pipeline.run.judged import judged
from forgetting.pipeline.run.prepared import Prepared
from forgetting.pipeline.run.records import Taken, take
from forgetting.pipeline.run.stop_rule import StopRule
from forgetting.pipeline.run.suites import fast_suite_of, stop_splits, without_overlaps
from forgetting.recipe import Stage
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.training.flops import records_work


class _Frame:
    """A suite, with the results of the model before and of the oracle."""

    def __init__(self, suite: Suite, before: Taken, oracle: Taken | None) -> None:
        self.suite, self.before, self.oracle = suite, before, oracle
        self.start = before.measures(suite, oracle)
        self.goal = None if oracle is None else oracle.measures(suite, oracle)

    def reduced(self, suite: Suite) -> _Frame:
        """The same for a smaller suite."""
        return _Frame(
            suite, self.before.only_asked(suite), None if self.oracle is None else self.oracle.only_asked(suite)
        )

    def popularity(self, taken: Taken) -> tuple[ByPopularity, ...]:
        """How what was lost since the model before depends on popularity."""
        return taken.by_popularity(self.suite, self.before)

    def measures(self, taken: Taken, stage: str) -> list[Measure]:
        """All measures, and the balance, by which a stage's checkpoints are compared."""
        found = taken.measures(self.suite, self.oracle)
        return [*found, balance(found, self.start, self.goal, of=self.suite.declared(stage).balance)]


class Measurer:
    """Evaluates a run before, during and after training; every evaluation is written into the run's folder.

    Args:
        folder: the run's.
        prepared: recipe, data, tokenizer and suite.
        voice: receives progress.
        before: the results of the model before the first stage on the suite.
        oracle: the same for a model that never saw the forget set.
    """

    def __init__(
        self, folder: RunFolder, prepared: Prepared, voice: Voice, *, before: Taken, oracle: Taken | None
    ) -> None:
        self.folder, self.voice = folder, voice
        self.recipe, self.tokenizer = prepared.recipe, prepared.loaded.tokenizer
        stages = self.recipe.stages
        self._full = _Frame(prepared.suite, before, oracle)
        self._fast = {s.name: self._full.reduced(fast_suite_of(self.recipe, prepared.data, s)) for s in stages}
        self._goals = {s.name: self._goal(s) for s in stages}
        self._distances: dict[str, ToReference] = {}

    @property
    def suite(self) -> Suite:
        """The suite that is measured before, between and after the stages."""
        return self._full.suite

    def during_suite(self, stage: Stage) -> Suite:
        """The suite that is measured while a stage trains."""
        return self._fast[stage.name].suite

    def compare(self, stage: Stage, distance: ToReference) -> None:
        """From now on, evaluations during and after the stage hold how far its model is from its reference."""
        self._distances[stage.name] = distance

    @property
    def before(self) -> Evaluation:
        """The model before the first stage."""
        return Evaluation(point="before", measures=tuple(self._full.start))

    def alarm(self, stage: Stage) -> Alarm:
        """The alarm at evaluations in the middle of a stage, relative to the stage's initial model."""
        frame = self._fast[stage.name]
        start = self._starts(stage, frame)[-1]
        return knowledge_alarm(frame.suite.declared(stage.name), start, stage.collapse_at)

    def rule(self, stage: Stage) -> StopRule | None:
        """The stage's stop rule, for the evaluations in the middle of it; None if it has none."""
        return self._rule(stage, self._fast[stage.name])

    def final_rule(self, stage: Stage) -> StopRule | None:
        """The same for the evaluation after it, of the full suite."""
        return self._rule(stage, self._full)

    def _rule(self, stage: Stage, frame: _Frame) -> StopRule | None:
        goal = self._goals[stage.name]
        if goal is None:
            return None
        return StopRule(goal, frame.suite.declared(stage.name), self._starts(stage, frame), stage.despite_damage)

    def movement(self, stage: Stage, after: Evaluation) -> Movement | None:
        """How far the stage moved what it was to forget."""
        full = self._full
        start = self._starts(stage, full)[-1]
        return movement(full.suite.declared(stage.name), start, after.measures, full.goal)

    def _starts(self, stage: Stage, frame: _Frame) -> tuple[Sequence[Measure], ...]:
        """The measures of the model before the run and, for a later stage, of the model before the stage."""
        names = [s.name for s in self.recipe.stages]
        earlier = [Evaluation(point="after", stage=name) for name in names[: names.index(stage.name)]]
        left = next((found for at in reversed(earlier) if (found := self.folder.evaluations.find(at))), None)
        return (frame.start,) if left is None else (frame.start, self._on(frame, left))

    def _on(self, frame: _Frame, left: Evaluation) -> Sequence[Measure]:
        """What an evaluation of the full suite measured, on the examples of a frame: changes are of the same ones."""
        if frame is self._full:
            return left.measures
        ids = [example.id for split in frame.suite.splits for example in split.examples]
        taken = Taken(self.folder.evaluations.records(left, ids))
        return taken.only_asked(frame.suite).measures(frame.suite, None)

    def fixed_points(self) -> None:
        """Writes the evaluations of the model before and of the oracle."""
        by_first(self._write_fixed_points)

    def _write_fixed_points(self) -> None:
        full = self._full
        start = (*full.start, *self._judged(full.before))
        self.folder.evaluations.write(Evaluation(point="before", measures=start), full.before.records)
        if full.oracle is not None and full.goal is not None:
            goal = (*full.goal, *self._judged(full.oracle))
            self.folder.evaluations.write(Evaluation(point="oracle", measures=goal), full.oracle.records)

    def _judged(self, taken: Taken) -> list[Measure]:
        return judged(taken.records, self.recipe, self.voice)

    def after(self, model: nn.Module, *, stage: str, step: int, epoch: float) -> Evaluation:
        """The full suite on the model after a stage."""
        return self._measure(Evaluation(point="after", stage=stage, step=step, epoch=epoch), self._full, model, None)

    def during(self, model: nn.Module, *, stage: str, step: int, epoch: float) -> Evaluation:
        """The stage's fast suite in the middle of the stage; reused after a resume.

        Where the rest of the stop rule does not hold, EL is irrelevant and not decoded, since it costs most by far.
        """
        at = Evaluation(point="epoch", stage=stage, step=step, epoch=epoch)
        return self._measure(at, self._fast[stage], model, self._goals[stage])

    def _take(self, model: nn.Module, frame: _Frame, stage: str, goal: Goal | None) -> Taken:
        if goal is not None and goal.thresholds is not None:
            quick = take(model, self.tokenizer, without_overlaps(frame.suite), self.recipe, self.voice)
            if not on_first(lambda: goal.within_reach(frame.measures(quick, stage))):
                return quick
        return take(model, self.tokenizer, frame.suite, self.recipe, self.voice)

    def _goal(self, stage: Stage) -> Goal | None:
        """What ends the stage; its thresholds come from the model before the first stage."""
        ends = stage.ends
        if ends is None:
            return None
        frame = self._fast[stage.name]
        for limit in ends.limits:
            if not any(map(is_distance, limit.keys)):  # the reference may not have been made yet
                limit.reached(frame.measures(frame.before, stage.name))  # raises if it is not measured
        if not ends.extraction:
            return Goal(limits=ends.limits)
        forget, unseen, n = stop_splits(stage, self.suite)
        return Goal(Thresholds.of(self._full.start, split=unseen, n=n, forget=forget), ends.limits)

    def _measure(self, at: Evaluation, frame: _Frame, model: nn.Module, goal: Goal | None) -> Evaluation:
        """The evaluation of this point from the folder; else measured by all processes and written by the first.

        It is the same in all processes, so that they make the same decisions.
        """
        kept = self.folder.evaluations.find(at)
        if kept is not None:
            return kept
        assert at.stage is not None
        stage = at.stage
        began = time.perf_counter()
        taken = self._take(model, frame, stage, goal)
        apart = self._apart(model, frame.suite, stage)

        def measured() -> Evaluation:
            whole = at.point == "after"
            measures = (*frame.measures(taken, stage), *apart, *(self._judged(taken) if whole else ()))
            popularity = frame.popularity(taken) if whole else ()
            seconds = time.perf_counter() - began
            work = None if frame.suite.probes else asdict(records_work(self._behind_shots(taken.records), self._tokens))
            return self.folder.evaluations.write(
                replace(at, measures=measures, seconds=seconds, work=work, popularity=popularity), taken.records
            )

        return on_first(measured)

    def _apart(self, model: nn.Module, suite: Suite, stage: str) -> list[Measure]:
        """How far the model is from the stage's reference, where the stage ends by it."""
        distance = self._distances.get(stage)
        if distance is None:
            return []
        return distance(model, {s.name: frozenset(e.id for e in s.examples) for s in suite.splits})

    def _behind_shots(self, records: Sequence[Record]) -> list[Record]:
        """The records with the shots in their prompts, which a model reads before each question."""
        shots = self.recipe.format.shots
        shown = [] if shots is None else (shots.examples or ())[: shots.shown]
        before = "".join(f"{shot.prompt} {shot.response} " for shot in shown)
        return [replace(r, prompt=before + r.prompt) if r.prompt else r for r in records]

    def _tokens(self, text: str) -> int:
        return len(self.tokenizer(text)["input_ids"])
