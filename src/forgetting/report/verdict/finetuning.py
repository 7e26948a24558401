"""The verdict on a run that forgets no set: what fine-tuning made better, worse, and what the intervals do not tell."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding, Tone
from forgetting.report.verdict.intervals import amount, relation, value_at
from forgetting.runs.results import Results

Change = tuple[str, Measure, Measure]
"""A measure's title, at the start and at the end."""


_GAINS: dict[str, tuple[Tone, str]] = {
    "higher": ("good", "better than at the start"),
    "lower": ("bad", "worse than at the start"),
}


def forgets_nothing(run: Results) -> bool:
    """Whether nothing of the run is called forget or retain data, and its start and end were measured alike."""
    return (
        headline_measures.forgetting_key([run]) is None
        and headline_measures.retention_key([run]) is None
        and bool(_changes(run))
    )


def learned(run: Results) -> tuple[str, Tone, list[Finding]]:
    """A headline with its tone, and one finding for each of better, worse and not told apart."""
    better, worse, unclear = list[Change](), list[Change](), list[Change]()
    for change in _changes(run):
        _, before, after = change
        how = relation(after, before)
        wanted = "higher" if after.direction == "up" else "lower"
        (better if how == wanted else unclear if how in ("overlap", "unclear") else worse).append(change)
    groups: list[tuple[str, Tone, list[Change]]] = [
        ("Better", "good", better),
        ("Worse", "bad", worse),
        ("Not told apart", "open", unclear),
    ]
    findings = [
        Finding(topic, tone, f"{wording.join([_said(change) for change in found])}.")
        for topic, tone, found in groups
        if found
    ]
    tone: Tone = "mixed" if better and worse else "good" if better else "bad" if worse else "open"
    words = (
        f"Of {len(better) + len(worse) + len(unclear)} measures {len(better)} are better than at the start, "
        f"{len(worse)} worse, {len(unclear)} not told apart."
    )
    return words, tone, findings


def _said(change: Change) -> str:
    title, before, after = change
    return f"{title} {wording.amount_text(amount(before))} → {wording.with_interval(after)}"


def _changes(run: Results) -> list[Change]:
    """The measures that have a better and a worse side, where both ends have them."""
    found = []
    for key in headline_measures.headline_keys([run]):
        before, after = value_at(run.before, key), value_at(run.after, key)
        if before and after and after.direction in ("up", "down"):
            found.append((wording.title(after), before, after))
    return found


def domain(run: Results) -> list[Finding]:
    """Of a run that forgets and also trains: what held-out data gained. Nothing where that was not measured."""
    key = headline_measures.learning_key([run])
    before, after = value_at(run.before, key), value_at(run.after, key)
    if before is None or after is None:
        return []
    tone, words = _GAINS.get(relation(after, before), ("open", "not told apart from the start"))
    text = (
        f"{wording.title(after)} went from {wording.with_interval(before)} to {wording.with_interval(after)}: {words}."
    )
    return [Finding("Learning", tone, text)]
