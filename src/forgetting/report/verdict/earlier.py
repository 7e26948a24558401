"""What earlier runs were to forget that made the model: whether it rose again, or is not measured here."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.core.subset import Subset
from forgetting.metrics.share import NEARLY_NOTHING, is_share
from forgetting.metrics.statistics import Estimate
from forgetting.report import wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import amount, contrast
from forgetting.report.verdict.models import Models, asked_to_forget
from forgetting.report.verdict.paired import Side, mean_of
from forgetting.runs.began import START
from forgetting.runs.results import Results

TOPIC = "Earlier requests"


def earlier(models: Models, key: str | None) -> list[Finding]:
    """A finding for each earlier run whose examples are measured here, and one for those that are not.

    Where they are all of what this run was to forget, what is said of its forgetting is said of them.

    Args:
        models: of the run.
        key: the measure of how much of the forget set is left.
    """
    sets = models.run.earlier_sets.items()
    found = [_of_set(models, f"{subset.of}/{key.partition('/')[2]}", name, subset) for name, subset in sets if key]
    return [*(finding for finding in found if finding), *_unmeasured(models.run)]


def _of_set(models: Models, key: str, name: str, subset: Subset) -> Finding | None:
    """How the examples of one earlier run went from the start of this one to its end; None without their values."""
    ids = {*subset.ids}
    start, end = (_measure(key, side, mean_of(key, side, ids)) for side in (models.before, models.after))
    if start is None or end is None:
        return None
    if asked_to_forget(models.run) and _is_whole(models, key, end):
        return None
    change = contrast(key, models.after, models.before, only=ids)
    by = f" ({change.words})" if change.words else ""
    rose = change.relation == "higher"
    small = rose and is_share(start) and amount(end) - amount(start) < NEARLY_NOTHING
    reading = {
        "higher": f"That is a rise, and one of less than {NEARLY_NOTHING:g}{by}."
        if small
        else f"That is known better than at the start{by}: it rose again.",
        "lower": f"It fell further{by}.",
        "overlap": f"No rise is shown{by}.",
        "unclear": "There is nothing to tell a difference from noise by.",
    }[change.relation]
    text = (
        f"Of {wording.count(end.count)} examples that run {name} was to forget, {wording.title(end)} went from "
        f"{wording.with_interval(start)} to {wording.with_interval(end)}. {reading}"
    )
    return Finding(TOPIC, "bad" if rose and not small else "note", text)


def _is_whole(models: Models, key: str, part: Measure) -> bool:
    whole = models.after.value(key)
    return whole is not None and whole.count == part.count


def _measure(key: str, side: Side, estimate: Estimate) -> Measure | None:
    """The estimate under the name of the measure that it is a part of."""
    whole = side.value(key)
    if whole is None or estimate.value is None:
        return None
    return Measure(
        name=whole.name,
        split=whole.split,
        value=estimate.value,
        count=estimate.count,
        low=estimate.low,
        high=estimate.high,
    )


def _unmeasured(run: Results) -> list[Finding]:
    """What was forgotten before this run, where it is not measured here."""
    if not run.earlier and run.environment.get(START) != "adapter":
        return []
    whence = wording.join(list(run.earlier)) if run.earlier else "an adapter that had been trained before"
    partly = bool(run.earlier) and all(name in run.earlier_sets for name in run.earlier)
    how = "is measured here only in part" if partly else "is not measured here"
    text = (
        f"The model comes from {whence}. What was forgotten there {how} and may have come back: give its data once "
        "more beside the new (data.forget=[…, …])."
    )
    return [Finding(TOPIC, "open", text)]
