"""The verdict on a run that forgets no set: what fine-tuning made better, worse, and what the intervals do not tell."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.metrics.share import LEAST, is_share
from forgetting.report import headline_measures, wording
from forgetting.report.verdict import kept
from forgetting.report.verdict.few import few
from forgetting.report.verdict.finding import Finding, Tone
from forgetting.report.verdict.intervals import amount, contrast
from forgetting.report.verdict.models import Models, asked_to_forget
from forgetting.report.verdict.stop_rule import FEW_STEPS, advice
from forgetting.runs.results import Results

Change = tuple[Measure, Measure]
"""A measure at the start and at the end."""

_GAINS: dict[str, tuple[Tone, str]] = {
    "higher": ("good", "better than at the start"),
    "lower": ("bad", "worse than at the start"),
}
_MIRRORED = {"higher": "lower", "lower": "higher"}


def forgets_nothing(run: Results) -> bool:
    """Whether no stage was to forget anything; of a run that names no data, whether nothing is called forget data."""
    asked = asked_to_forget(run)
    if asked is not None:
        return not asked
    named = headline_measures.forgetting_key([run]) or headline_measures.retention_key([run])
    return named is None and bool(_changes(Models.of(run)))


def learned(models: Models) -> tuple[str, Tone, list[Finding]]:
    """A headline with its tone, and one finding for each of better, worse and not told apart."""
    better, worse, unclear = _sorted(models)
    groups: list[tuple[str, Tone, list[str]]] = [
        ("Better", "good", better),
        ("Worse", "bad", worse),
        ("Not told apart", "open", unclear),
    ]
    findings = [Finding(topic, tone, f"{wording.join(found)}.") for topic, tone, found in groups if found]
    findings += few_steps(models)
    count = len(better) + len(worse) + len(unclear)
    if not count:
        of = "No measure of what was learned or is to stay was taken both at the start and at the end"
        return f"{of}, so what training changed there is open.", "open", []
    tone: Tone = "mixed" if better and worse else "good" if better else "bad" if worse else "open"
    words = (
        f"Of {count} {'measure' if count == 1 else 'measures'} {len(better)} {'is' if len(better) == 1 else 'are'} "
        f"better than at the start, {len(worse)} worse, {len(unclear)} not told apart."
    )
    return words, tone, findings


def gone(models: Models) -> list[str]:
    """Of a run that only learns: a sentence where less than half is left of something that the start knew."""
    lost = [
        f"{wording.title(before)} {wording.value_text(before)} → {wording.value_text(after)}"
        for key, (before, after) in _changes(models).items()
        if kept.left_of(models, key) == "destroyed"
    ]
    return [f"Less than half is left of what the start knew: {wording.join(lost)}."] if lost else []


def few_steps(models: Models) -> list[Finding]:
    """Of a run that only learns, where no measure is told apart from the start: its short stages, and what to raise."""
    better, worse, unclear = _sorted(models) if forgets_nothing(models.run) else ([], [], [])
    if better or worse or not unclear:
        return []
    return [
        Finding(
            "Movement",
            "open",
            f"Stage {stage.name} took {stage.steps} step{'s' if stage.steps != 1 else ''}, and no measure is told "
            f"apart from the start.{advice(stage, f'stages.{stage.name}.')}",
        )
        for stage in models.run.stages
        if 0 < stage.steps < FEW_STEPS and stage.stopped == "duration"
    ]


def domain(models: Models) -> list[Finding]:
    """Of a run that forgets and also trains: what held-out data gained. Nothing where that was not measured."""
    key = headline_measures.learning_key([models.run])
    before, after = models.before.value(key), models.after.value(key)
    if before is None or after is None or key is None:
        return []
    tone, words = _GAINS.get(_gain(models, key, (before, after)), ("open", "not told apart from the start"))
    text = (
        f"{wording.title(after)} went from {wording.with_interval(before)} to {wording.with_interval(after)}: {words}."
    )
    return [Finding("Learning", tone, text)]


def _sorted(models: Models) -> tuple[list[str], list[str], list[str]]:
    """In words, what is better than at the start, what is worse, and what is not told apart."""
    better, worse, unclear = list[str](), list[str](), list[str]()
    for key, change in _changes(models).items():
        how = _gain(models, key, change)
        found = better if how == "higher" else worse if how == "lower" else unclear
        found.append(_said(models, key, change))
    return better, worse, unclear


def _gain(models: Models, key: str, change: Change) -> str:
    """`higher` where the end is better, `lower` where it is worse; both below what is told from nothing: neither.

    Of too few examples for an interval: a rise of their mean, or a loss of it that counts as one (`kept`).
    """
    before, after = change
    if is_share(before) and is_share(after) and max(amount(before), amount(after)) < LEAST:
        return "overlap"
    small = few(key, models.after, models.before)
    if small is not None and after.direction == "up":
        lost = kept.left_of(models, key) in ("damaged", "destroyed")
        return "higher" if small.is_higher else "lower" if lost else "overlap"
    how = contrast(key, models.after, models.before).relation
    return how if after.direction == "up" else _MIRRORED.get(how, how)


def _said(models: Models, key: str, change: Change) -> str:
    before, after = change
    small = few(key, models.after, models.before)
    by = f" {small.words}, too few for an interval of the change" if small and small.change else ""
    return f"{wording.title(after)} {wording.amount_text(amount(before))} → {wording.with_interval(after)}{by}"


def _changes(models: Models) -> dict[str, Change]:
    """By key, the measures that have a better and a worse side, where both ends have them.

    What is known of a set that is to be forgotten, or of unseen text, is left to the table.
    """
    declared = models.run.declared
    aside = {*declared.forget_splits, *declared.unseen_splits}
    found = {}
    for key in headline_measures.headline_keys([models.run]):
        before, after = models.before.value(key), models.after.value(key)
        if before and after and after.direction in ("up", "down") and after.split not in aside:
            found[key] = (before, after)
    return found
