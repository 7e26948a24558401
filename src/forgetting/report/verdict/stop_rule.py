"""Whether stages reached their goals, and what to change where they did not or where almost nothing moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetting.core.errors import DataError
from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds, extraction_likelihood
from forgetting.metrics.goal import Goal, Until
from forgetting.metrics.likelihood import memorization_accuracy
from forgetting.metrics.limit import Limit
from forgetting.metrics.movement import LITTLE
from forgetting.metrics.no_more import highest
from forgetting.report import wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import amount, value_at
from forgetting.report.verdict.samples import counted
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult

FEW_STEPS = 60
"""With fewer steps the duration is to be raised first, then the learning rate."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The evaluations that a stage is judged by; None where there is none."""

    after: Evaluation | None
    """Of the model after it."""
    before: Evaluation | None = None
    """Of the model before the run."""
    begun: Evaluation | None = None
    """Of the model before the stage, if another stage had left that."""
    delivered: Evaluation | None = None
    """Of the model at the end of the run, if a later stage left that."""
    harmed: bool = False
    """Whether a loss of what should stay is shown, though no goal asks for it."""


def goals(run: Results, *, harmed: bool = False) -> list[Finding]:
    """What is said of every stage that had a stop rule, and of every one that moved almost nothing.

    Args:
        run: finished.
        harmed: whether a loss of what should stay is shown: then no higher rate is advised.
    """
    return [f for stage in run.stages for f in findings(stage, _seen(run, stage, harmed=harmed))]


def _seen(run: Results, stage: StageResult, *, harmed: bool = False) -> Seen:
    names = [s.name for s in run.stages]
    afters = {e.stage: e for e in run.afters}
    after = afters.get(stage.name)
    left = [afters[name] for name in names[: names.index(stage.name)] if name in afters]
    delivered = None if after is run.after else run.after
    return Seen(after, run.before, left[-1] if left else None, delivered, harmed)


UNDONE, MISSED = "goal undone by a later stage", "goal not reached"


def missed(run: Results) -> list[str]:
    """A sentence for every stage that did not reach its goal, or not for good, or that moved almost nothing."""
    said = []
    for stage in run.stages:
        failure = goal_failure(run, stage)
        if failure == UNDONE:
            said.append(f"Stage {stage.name} was at its goal{_undone(stage, _seen(run, stage))}")
        elif failure == MISSED:
            harm = " The model is damaged, and a damaged model reaches no goal." if stage.damaged else ""
            said.append(
                f"Stage {stage.name} did not reach its goal within {_epochs(stage)}{_numbers(stage, None)}.{harm}"
            )
        elif stage.moved is not None and stage.moved.little and not stage.success:
            said.append(f"Stage {stage.name} {_movement(stage)}")
    return said


def goal_failure(run: Results, stage: StageResult) -> str:
    """`UNDONE` or `MISSED`, where a stage was not at its goal at the end of the run; empty where that is not shown."""
    seen = _seen(run, stage)
    held = _held_at_its_end(stage, seen)
    if stage.success or held:
        return UNDONE if _was_undone(stage, seen) else ""
    return MISSED if stage.success is False else ""


def goals_met(run: Results) -> bool | None:
    """Whether no stage's goal failed and one was reached.

    None where there was none, or one that counts as neither: a model before the run that was at it shows no change.
    """
    if any(goal_failure(run, stage) for stage in run.stages):
        return False
    return True if any(stage.success and not _holds(stage, run.before) for stage in run.stages) else None


def reached(run: Results) -> list[str]:
    """A part of a sentence for every goal which the model before the run was not at, and the one at its end is."""
    said = []
    for stage in run.stages:
        seen = _seen(run, stage)
        if _holds(stage, run.before) or _was_undone(stage, seen):
            continue
        if stage.success:
            said.append(f"stage {stage.name} reached its goal")
        elif _held_at_its_end(stage, seen):
            said.append(f"the goal of stage {stage.name} holds at its end")
    return said


def said(stage: StageResult, seen: Seen, *, keys: str | None = None) -> list[str]:
    """The same of one stage as lines for a terminal; `keys` goes before the keys to change, as in `findings`."""
    return [finding.text for finding in findings(stage, seen, keys=keys)]


def findings(stage: StageResult, seen: Seen, *, keys: str | None = None) -> list[Finding]:
    """What is said of one stage.

    Args:
        stage: its result.
        seen: the evaluations that it is judged by.
        keys: what goes before the keys to change; default: the stage in a recipe, `stages.NAME.`.
    """
    place = f"stages.{stage.name}." if keys is None else keys
    found = []
    if stage.success is not None:
        found.append(_goal(stage, seen, place))
    if stage.moved is not None and stage.moved.little and not stage.success:
        text = f"Stage {stage.name} {_movement(stage)}{advice(stage, place, harmed=seen.harmed)}"
        found.append(Finding("Movement", "bad", text))
    return found


def goal_words(goal: Goal, measures: Sequence[Measure]) -> str:
    """Where a model is on the way to a goal: the values that the goal compares; EL_n only if it was measured."""
    found = {m.key: m for m in measures}
    words = [_compared_words(goal.thresholds, found)] if goal.thresholds is not None else []
    return "; ".join([*words, *(_limit_words(limit, found) for limit in goal.limits)])


def _limit_words(limit: Limit, found: Mapping[str, Measure]) -> str:
    own = found.get(limit.key)
    value = None if own is None else own.value
    if isinstance(limit.value, str):
        other = found.get(limit.value)
        said = wording.number(value) if other is None or other.value is None else _beside(value, other.value)
        return f"{limit.key} is {said}{counted(own)}, {limit.value} {_with_end(other, value)}{counted(other)}"
    return f"{limit.key} is {_beside(value, limit.value)}{counted(own)} (goal: {limit})"


def _with_end(other: Measure | None, own: float | None) -> str:
    """The other's value; where the own is above it and within its interval, the end of that, too."""
    if other is None or other.value is None or own is None:
        return wording.number(None if other is None else other.value)
    if other.value < own <= highest(other):
        return f"{_beside(other.value, own)}, by its interval up to {wording.number(highest(other))}"
    return _beside(other.value, own)


def _compared_words(goal: Thresholds, found: Mapping[str, Measure]) -> str:
    now, unseen = (_pair(found, split, goal.n) for split in (goal.forget, goal.unseen))
    before = (goal.extraction_likelihood, goal.memorization_accuracy)
    words = [
        f"{name} {wording.number(own.value)}{counted(own)} "
        f"({goal.unseen}: {wording.number(start)} before, {_with_end(then, own.value)} now{counted(then)})"
        for name, own, start, then in zip((f"EL_{goal.n}", "MA"), now, before, unseen, strict=True)
        if own is not None and own.value is not None
    ]
    return f"{goal.forget} has {' and '.join(words)}" if words else f"{goal.forget} was not measured"


def _beside(value: float | None, limit: float) -> str:
    """A value with as many digits as tell it from its limit."""
    text = wording.number(value)
    if value is None or value == limit or text != wording.number(limit):
        return text
    return next(said for digits in range(4, 18) if float(said := f"{value:.{digits}g}") != limit)


def _pair(found: Mapping[str, Measure], split: str, n: int) -> list[Measure | None]:
    return [found.get(f"{split}/{name}") for name in (extraction_likelihood(n).name, memorization_accuracy.name)]


def _goal(stage: StageResult, seen: Seen, place: str) -> Finding:
    epochs = _epochs(stage)
    numbers = _numbers(stage, seen.after)
    held = _held_at_its_end(stage, seen)
    if stage.success or held:
        text = f"Stage {stage.name} reached its goal after {epochs}{numbers}"
        if held:
            way = "held at no evaluation on the way, which may be of fewer examples"
            text = f"The goal of stage {stage.name} holds on the model after it, though it {way}{numbers}"
        if _was_undone(stage, seen):
            return Finding("Goal", "bad", text + _undone(stage, seen))
        if _holds(stage, seen.before):
            return Finding("Goal", "open", f"{text}. It was there before the run, so this shows no change.")
        return Finding("Goal", "open" if held else "good", f"{text}.")
    harm, ended = _harm(stage, seen), f"did not reach its goal within {epochs}"
    if stage.stopped == "goal" and stage.damaged and _holds(stage, seen.after):
        ended = f"ended after {epochs}, where its limit was met, and did not reach its goal"
    elif stage.stopped == "goal":
        harm = f" The evaluation that stopped it was of fewer examples, and that of all does not confirm it.{harm}"
    text = f"Stage {stage.name} {ended}{numbers}.{harm}"
    moved = stage.moved is None or not stage.moved.little
    return Finding("Goal", "bad", text + (advice(stage, place, harmed=seen.harmed) if moved else ""))


def _was_undone(stage: StageResult, seen: Seen) -> bool:
    """Whether the model at the end of the run is shown not to meet the goal."""
    return seen.delivered is not None and _holds(stage, seen.delivered) is False


def _undone(stage: StageResult, seen: Seen) -> str:
    return f", but the delivered model does not meet it{_numbers(stage, seen.delivered)}."


def _held_at_its_end(stage: StageResult, seen: Seen) -> bool:
    """Whether a stage that no evaluation ended is at its goal all the same."""
    return (
        stage.success is False and not stage.damaged and stage.stopped != "goal" and _holds(stage, seen.after) is True
    )


def _epochs(stage: StageResult) -> str:
    return "1 epoch" if stage.epochs == 1 else f"{float(f'{stage.epochs:.3g}'):g} epochs"


def _compared(stage: StageResult) -> Goal | None:
    """The stage's goal; None if the run does not say what it compared with."""
    until = Until.parse(stage.goal) if stage.goal else Until(stage.thresholds is not None, ())
    known = stage.thresholds is not None or not until.extraction
    return Goal(stage.thresholds, until.limits) if known and (until.extraction or until.limits) else None


def _holds(stage: StageResult, at: Evaluation | None) -> bool | None:
    """Whether a model is at the stage's goal; None if that is not known."""
    goal = _compared(stage)
    if goal is None or at is None:
        return None
    try:
        return goal.reached(at.measures)
    except DataError:
        return None


def _numbers(stage: StageResult, after: Evaluation | None) -> str:
    goal = _compared(stage)
    if goal is not None and after is not None:
        return f": {goal_words(goal, after.measures)}"
    if stage.thresholds is not None:
        return _limits(stage.thresholds)
    return f" ({stage.goal})" if stage.goal else ""


def _limits(at: Thresholds) -> str:
    likelihood, accuracy = wording.number(at.extraction_likelihood), wording.number(at.memorization_accuracy)
    return f" (EL_{at.n} at most {likelihood} and MA at most {accuracy}, those of unseen text before)"


def _harm(stage: StageResult, seen: Seen) -> str:
    """What should have stayed and fell, from the better of its starts; a damaged model reaches no goal."""
    lost = []
    for key in stage.damaged:
        now = value_at(seen.after, key)
        starts = [("before", value_at(seen.before, key)), ("before the stage", value_at(seen.begun, key))]
        known = [(when, measure) for when, measure in starts if measure is not None]
        title = wording.title(now) if now else key
        if now and known:
            sign = -1 if now.direction == "down" else 1
            when, start = max(known, key=lambda each: sign * amount(each[1]))
            title += f" ({wording.value_text(start)} {when}, {wording.value_text(now)} now)"
        lost.append(title)
    return f" The model is damaged, and a damaged model reaches no goal: {wording.join(lost)}." if lost else ""


def _movement(stage: StageResult) -> str:
    moved = stage.moved
    assert moved is not None
    what = f"{moved.key} {wording.number(moved.start)} → {wording.number(moved.now)}"
    still = "moved nothing" if wording.number(moved.start) == wording.number(moved.now) else "moved almost nothing"
    how = still if round(moved.share, 2) <= 0 else f"moved only {moved.share:.0%} of the way"
    if moved.share <= -LITTLE:
        how = "made the forget set better known"
    to = f", {moved.goal_of} has {wording.number(moved.goal)}" if moved.goal_of else ""
    steps = f"{stage.steps} step{'s' if stage.steps != 1 else ''}"
    return f"{how} in {steps} at {_exact(stage.learning_rate)} ({what}{to})."


def advice(stage: StageResult, place: str, *, harmed: bool = False) -> str:
    """Which keys to change, with values to try.

    Nothing after a collapse, whose message says it; nor after an evaluation of fewer examples that stopped the stage,
    and would again; nor where the forget set became better known, which more of the same would go on with.

    Args:
        stage: its result.
        place: what goes before the keys.
        harmed: whether a loss of what should stay is shown: a higher rate would make it worse.
    """
    if stage.stopped == "collapse" or not stage.steps or stage.learning_rate is None:
        return ""
    if stage.damaged or harmed:
        return f" Try {place}learning_rate={_rate(stage.learning_rate / 3)}, or more retain data."
    if stage.stopped == "goal" or (stage.moved is not None and stage.moved.share <= -LITTLE):
        return ""
    rate = f"{place}learning_rate={_rate(3 * stage.learning_rate)}"
    steps = f"{place}duration='{max(FEW_STEPS, 3 * stage.steps)} steps'"
    return f" Try {steps}; if that is not enough, {rate}." if stage.steps < FEW_STEPS else f" Try {rate}, or {steps}."


def _exact(rate: float | None) -> str:
    """The rate that a stage had, digit for digit."""
    return "an unknown rate" if rate is None else f"{rate:g}"


def _rate(rate: float) -> str:
    """A rate to try, rounded."""
    return f"{rate:.1g}"
