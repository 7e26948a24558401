"""What earlier runs were to forget that made the model: whether it rose again, or is not measured here."""

from __future__ import annotations

from collections.abc import Collection

from forgetting.core.measure import Measure
from forgetting.core.subset import Subset
from forgetting.metrics.likelihood import probability
from forgetting.metrics.share import LEAST, NEARLY_NOTHING, is_share
from forgetting.metrics.statistics import Estimate
from forgetting.report import wording
from forgetting.report.verdict.few import few
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import amount, contrast
from forgetting.report.verdict.models import Models, asked_to_forget
from forgetting.report.verdict.paired import mean_of
from forgetting.runs.began import START
from forgetting.runs.results import Results

TOPIC = "Earlier requests"


def earlier(models: Models, key: str | None) -> list[Finding]:
    """A finding for each earlier run whose examples are measured here, and one for those that are not.

    They may be measured as anything: what is learned or kept now may be what was to be forgotten. Where they are all of
    what this run was to forget, what is said of its forgetting is said of them.

    Args:
        models: of the run.
        key: the measure of how much of the forget set is left; where a split does not have it, its probability is used.
    """
    found, silent = list[Finding](), set[str]()
    for name, sets in models.run.earlier_sets.items():
        for subset in sets:
            measure = _key(models, subset, (key or "").partition("/")[2])
            if measure is None:
                silent.add(name)
            elif not _said_anyway(models, measure, subset):
                found.append(_of_set(models, measure, name, subset))
    return [*found, *_unmeasured(models.run, silent)]


def _key(models: Models, subset: Subset, name: str) -> str | None:
    """The measure by which the examples are followed: the first that they have at both ends."""
    keys, ids = [f"{subset.of}/{each}" for each in (name, probability.name) if each], {*subset.ids}
    sides = (models.before, models.after)
    return next((key for key in keys if all(mean_of(key, side, ids).value is not None for side in sides)), None)


def _said_anyway(models: Models, key: str, subset: Subset) -> bool:
    """Whether they are a whole set that this run was to forget."""
    whole = models.after.value(key)
    own = subset.of in models.run.declared.forget_splits and asked_to_forget(models.run)
    return bool(own) and whole is not None and whole.count == mean_of(key, models.after, {*subset.ids}).count


def _of_set(models: Models, key: str, name: str, subset: Subset) -> Finding:
    """How examples of one earlier run went from the start of this one to its end."""
    ids = {*subset.ids}
    start, end = (_measure(key, mean_of(key, side, ids)) for side in (models.before, models.after))
    change, small = (
        contrast(key, models.after, models.before, only=ids),
        few(key, models.after, models.before, only=ids),
    )
    words = f"{small.words}, too few for an interval" if small and small.change else change.words
    by = f" ({words})" if words else ""
    rose, fell = change.relation == "higher", change.relation == "lower"
    if small is not None:
        rose, fell = small.is_higher, small.is_lower
    slight = rose and is_share(start) and amount(end) - amount(start) < NEARLY_NOTHING
    if slight:
        reading = f"That is a rise, and one of less than {NEARLY_NOTHING:g}{by}."
    elif rose:
        reading = f"That is known better than at the start{by}: it rose again."
    elif fell:
        reading = f"It fell further{by}."
    elif change.relation == "unclear" and small is None:
        reading = "There is nothing to tell a difference from noise by."
    else:
        reading = (
            f"That is a rise of less than {LEAST:g}{by}." if change.slight == "higher" else f"No rise is shown{by}."
        )
    text = (
        f"Of {_examples(end.count)} that run {name} was to forget, {wording.title(end)} went from "
        f"{wording.with_interval(start)} to {wording.with_interval(end)}. {reading}"
    )
    return Finding(TOPIC, "bad" if rose and not slight else "note", text)


def _examples(count: int) -> str:
    return "1 example" if count == 1 else f"{wording.count(count)} examples"


def _measure(key: str, estimate: Estimate) -> Measure:
    """The estimate under the name of the measure that it is a part of."""
    split, _, name = key.partition("/")
    e = estimate
    return Measure(name=name, split=split, value=e.value, count=e.count, low=e.low, high=e.high)


def _unmeasured(run: Results, silent: Collection[str]) -> list[Finding]:
    """What was forgotten before this run, where it is not measured here, only in part, or not known.

    Args:
        run: whose model comes from earlier ones.
        silent: of these, those with examples of which there is no value.
    """
    unknown = [name for name in run.earlier if name in run.earlier_unknown]
    known = [name for name in dict.fromkeys((*run.earlier, *sorted(silent))) if name not in unknown]
    partly = [name for name in known if name in run.earlier_sets]
    missing = [name for name in known if name not in partly]
    if not run.earlier and run.environment.get(START) == "adapter":
        missing.append("an adapter that had been trained before")
    once_more = "and may have come back: give its data once more beside the new (data.forget=[…, …])."
    said = [
        (missing, f"What was forgotten there is not measured here {once_more}"),
        (partly, f"What was forgotten there is measured here only in part {once_more}"),
        (
            unknown,
            "Nothing there says, or says any more, which examples were to be forgotten, so whether they came back is "
            "not known.",
        ),
    ]
    again = [
        Finding(
            TOPIC,
            "bad",
            f"{_examples(run.earlier_learned[name])} that run {name} was to forget "
            f"{'is' if run.earlier_learned[name] == 1 else 'are'} among what this run learned or kept, and not all of "
            "what it was to forget is measured.",
        )
        for name in known
        if name in run.earlier_learned
    ]
    return again + [
        Finding(TOPIC, "open", f"The model comes from {wording.join(names)}. {text}") for names, text in said if names
    ]
