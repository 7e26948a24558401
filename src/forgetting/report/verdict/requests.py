"""Several requests in one run: a line for each stage that forgets a set of its own, and whether one rose again."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.goal import Goal
from forgetting.report import wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import Contrast, amount, contrast, value_at
from forgetting.report.verdict.models import stage_of
from forgetting.report.verdict.paired import Side
from forgetting.report.verdict.stop_rule import goal_words
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult

RISEN = 0.1
"""The share of what a stage had lowered, above which a later rise is said."""


def requests(run: Results) -> list[Finding]:
    """A line for each request without a goal beside unseen text, and one for each that rose again.

    `stop_rule.goals` says those with a goal, and `forgotten.requests` how far each went.
    """
    columns = run.declared.headline.sets
    sets = {name: keys for keys in columns if (name := stage_of(run, keys[0].split("/")[0])) is not None}
    if len(sets) < 2:
        return []
    found = []
    for stage in (s for s in run.stages if s.name in sets):
        place = next((i for i, e in enumerate(run.afters) if e.stage == stage.name), None)
        if place is None:
            continue
        if stage.success is None:
            found += _line(run, stage, sets[stage.name], run.afters[place])
        found += _rise(run, stage, sets[stage.name], place)
    return found


def _line(run: Results, stage: StageResult, keys: Sequence[str], own: Evaluation) -> list[Finding]:
    """Where the request stood after its stage beside unseen text, if the suite compares with it."""
    limits = _unseen(run, stage, keys)
    if limits is None:
        return []
    reached = limits.within_reach(own.measures) and limits.reached(own.measures)
    how = "is no easier to extract than unseen text" if reached else "is still easier to extract than unseen text"
    text = f"After its stage, request {stage.name} {how}: {goal_words(Goal(limits), own.measures)}."
    return [Finding("Request", "good" if reached else "bad", text)]


def _unseen(run: Results, stage: StageResult, keys: Sequence[str]) -> Thresholds | None:
    """What unseen text had before, if the suite measures it and the set as passages."""
    pair = run.declared.extraction
    split = next((key.split("/")[0] for key in keys), "")
    if (
        pair is None
        or run.before is None
        or not all(value_at(run.before, f"{s}/el_{pair.n}") for s in (split, pair.unseen))
    ):
        return None
    return Thresholds.of(run.before.measures, split=pair.unseen, n=pair.n, forget=split)


def _rise(run: Results, stage: StageResult, keys: Sequence[str], place: int) -> list[Finding]:
    """The first later stage after which the set is clearly known better than after its own."""
    split = next((key.split("/")[0] for key in keys), "")
    own = run.afters[place]
    names = [*keys, f"{split}/memorization_accuracy"]
    for later in run.afters[place + 1 :]:
        for key in dict.fromkeys(names):
            before, low, high = (value_at(e, key) for e in (run.before, own, later))
            change = contrast(key, Side(run, later), Side(run, own))
            if before and low and high and _risen(before, low, high, change):
                text = (
                    f"Request {stage.name} rose again after stage {later.stage}: {wording.title(high)} "
                    f"{wording.with_interval(low)} after its own stage, {wording.with_interval(high)} after that one."
                )
                return [Finding("Request", "bad", text)]
    return []


def _risen(before: Measure, low: Measure, high: Measure, change: Contrast) -> bool:
    """Whether a part of what was lowered came back; where its examples are paired, one that they show."""
    lowered = amount(before) - amount(low)
    much, higher = amount(high) - amount(low) > RISEN * lowered, change.relation == "higher"
    return lowered > 0 and ((much and higher) if change.pairs is not None else (much or higher))
