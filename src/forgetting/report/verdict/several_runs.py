"""The verdict on several runs: who is closest to the oracle, who keeps most, and where the order is not shown."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.aligned import aligned, renamed
from forgetting.report.verdict import comparable, kept
from forgetting.report.verdict.distance import Distance, distance_to_oracle, farther
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import Relation, amount, contrast
from forgetting.report.verdict.measured import MEASURED, measured
from forgetting.report.verdict.models import Models, asked_to_forget
from forgetting.report.verdict.verdict import Verdict, limits, verdict
from forgetting.runs.results import Results, labels

_APART = "Not comparable"
"""The topic of why runs are not ranked."""


def comparison(runs: Sequence[Results]) -> Verdict:
    """The verdict on runs side by side; on a single run, the verdict on it.

    What failed comes first. Being closest and keeping most are two questions and are not merged into one score; each is
    asked only of runs that were measured alike (`comparable`).
    """
    if len(runs) == 1:
        return verdict(runs[0])
    names = labels(runs)
    if all(run.evaluated for run in runs):
        return Verdict(MEASURED, "open", (*measured(runs), *[Finding("Labels", "note", t) for t in renamed(runs)]))
    verdicts = [verdict(run) for run in runs]
    names_said = [Finding("Labels", "note", text) for text in renamed(runs)]
    runs = aligned(runs)
    every = [Models.of(run) for run in runs]
    closest, first = _closest(every, names)
    asked = [
        (headline_measures.retention_key(runs), "Keeps most (retain)"),
        (headline_measures.utility_key(runs), "Keeps most (utility)"),
    ]
    (keepers, second), (_, third) = (_most(every, names, key, topic) for key, topic in asked)
    caution = _caution(runs, names)
    each = [Finding(name, v.tone, v.headline) for name, v in zip(names, verdicts, strict=True)]
    findings = [*_failed(runs, names, verdicts), *first, *second, *third, *each, *caution, *names_said, *limits(runs)]
    how = ["" if run.status == "unfinished" else " failed" for run in runs]
    failures = [f"{name}{so}: {_first(v)}" for name, so, v in zip(names, how, verdicts, strict=True) if v.failed]
    words = _headline(every, names, closest, keepers, first)
    return Verdict(" ".join([*failures, words]), "mixed" if caution or failures else "open", tuple(findings))


def _first(verdict: Verdict) -> str:
    first = verdict.failed[0]
    return first[:1].lower() + first[1:]


def _failed(runs: Sequence[Results], names: Sequence[str], verdicts: Sequence[Verdict]) -> list[Finding]:
    """What failed, run by run; a run that is not finished has not failed."""
    return [
        Finding(f"Failed: {name}", "bad", " ".join(v.failed))
        for run, name, v in zip(runs, names, verdicts, strict=True)
        if v.failed and run.status != "unfinished"
    ]


def _headline(
    every: Sequence[Models], names: Sequence[str], closest: list[int], keepers: list[int], first: Sequence[Finding]
) -> str:
    if not keepers:
        keeps = "nothing says which run keeps most"
    elif len(keepers) > 1:
        keeps = f"{wording.join([names[i] for i in keepers])} keep the most of the retain set, their order is not shown"
    else:
        keeps = f"{names[keepers[0]]} keeps the most of the retain set"
    if all(asked_to_forget(models.run) is False for models in every):
        return f"None of the runs was to forget anything; {keeps}."
    if not closest:
        return f"Nothing says which run forgets rightly, {_why(first)}; {keeps}."
    if len(closest) > 1:
        tied = wording.join([names[i] for i in closest])
        return f"{tied} are not shown to differ in how close they come to the oracle on the forget set; {keeps}."
    nearest = closest[0]
    state, _ = kept.keeping(every[nearest])
    lost = ", at a loss elsewhere" if state == "damaged" else ""
    told = f"{names[nearest]} ends closest to the oracle on the forget set{lost}"
    return f"{told}, and keeps the most of the retain set." if closest == keepers else f"{told}; {keeps}."


def _why(findings: Sequence[Finding]) -> str:
    apart = next((f.text for f in findings if f.topic == _APART), None)
    return f"since {apart.split(': ', 1)[0]}" if apart else "for want of an oracle's value"


def _closest(every: Sequence[Models], names: Sequence[str]) -> tuple[list[int], list[Finding]]:
    """The runs that are nearest to the oracle, as far as the numbers say, nearest first, and the words for it."""
    key = headline_measures.forgetting_key([models.run for models in every])
    found = [
        (i, d)
        for i, m in enumerate(every)
        if key and asked_to_forget(m.run) is not False
        if (d := distance_to_oracle(names[i], m.after, m.oracle, key)) is not None
    ]
    topic = "Closest to the oracle"
    if not found or key is None:
        return [], [Finding(topic, "open", "No run has both a forget measure and an oracle's value of it.")]
    found.sort(key=lambda pair: pair[1].value)
    (place, best), others = found[0], found[1:]
    listed = wording.join([f"{d.label} is {wording.amount_text(d.value)} away" for _, d in found])
    text = f"{wording.title(best.measure)}: {listed}."
    if not others:
        alone = f"of the runs that were to forget only {best.label} has this measure and an oracle's value of it"
        text = f"{text} No order of forgetting is said."
        return [], [Finding(_APART, "open", alone), Finding(topic, "open", text)]
    why = comparable.forgetting([every[i] for i, _ in found], [names[i] for i, _ in found], key)
    if why:
        return [], [Finding(_APART, "open", f"{why}: no order of forgetting is said"), Finding(topic, "open", text)]
    tied = [(i, d) for i, d in others if not _apart(key, every, (i, d), (place, best))]
    text += _tied(best.label, [d.label for _, d in tied])
    return [place, *(i for i, _ in tied)], [Finding(topic, "note", text)]


def _apart(key: str, every: Sequence[Models], one: tuple[int, Distance], best: tuple[int, Distance]) -> bool:
    """Whether one run is shown to be farther from the oracle than the nearest: paired where records allow it."""
    shown = farther(key, every[one[0]].after, every[best[0]].after, every[best[0]].oracle)
    return one[1].low > best[1].high if shown is None else shown


def _tied(best: str, tied: Sequence[str]) -> str:
    if not tied:
        return f" That sets {best} apart from the others."
    return f" The numbers of {wording.join([best, *tied])} allow the same distance: their order is not shown."


def _most(
    every: Sequence[Models], names: Sequence[str], key: str | None, topic: str
) -> tuple[list[int], list[Finding]]:
    """The runs whose value is not distinguishable from the best, best first, and the words for it."""
    found: list[tuple[int, Measure]] = [(i, v) for i, m in enumerate(every) if (v := m.after.value(key))]
    if not found or key is None:
        return [], []
    sign = -1.0 if found[0][1].direction == "down" else 1.0
    found.sort(key=lambda pair: -sign * amount(pair[1]))
    index, best = found[0]
    listed = wording.join([f"{names[i]} {wording.with_interval(m)}" for i, m in found])
    starts = {wording.value_text(v) for m in every if (v := m.before.value(key))}
    origin = f" (start {next(iter(starts))})" if len(starts) == 1 else ""
    text = f"{wording.title(best)}{origin}: {listed}."
    if len(found) < 2:
        return [], [Finding(topic, "open", f"{text} No other run has it, so no order of keeping is said.")]
    why = comparable.keeping([every[i] for i, _ in found], [names[i] for i, _ in found], key)
    if why:
        return [], [Finding(topic, "open", f"{text} {why}: no order of keeping is said.")]
    how: dict[int, Relation] = {i: contrast(key, every[i].after, every[index].after).relation for i, _ in found[1:]}
    tied = [i for i, relation in how.items() if relation in {"overlap", "unclear"}]
    if tied:
        said = wording.join([names[index], *(names[i] for i in tied)])
        unknown = any(how[i] == "unclear" for i in tied)
        why = "have nothing to tell a difference from noise by" if unknown else "are not told apart"
        text += f" {said} {why}: their order is not shown."
    else:
        text += f" {names[index]} is told apart from the others."
    return [index, *tied], [Finding(topic, "note", text)]


def _caution(runs: Sequence[Results], names: Sequence[str]) -> list[Finding]:
    """What differs between the runs besides the method, so that the comparison may not be one."""
    settings = [(s.rule, s.budget) if (s := run.selection) else None for run in runs]
    differs = {
        "the suite": len({run.suite for run in runs}) > 1,
        "the starting model": len({run.model for run in runs}) > 1,
        "the forget data": comparable.differing(runs, "forget"),
        "the retain data": comparable.differing(runs, "retain"),
        "the oracle": len({run.oracle for run in runs}) > 1,
        "how settings were chosen": len({*settings}) > 1,
    }
    found = [what for what, differ in differs.items() if differ]
    ended = [f"{name} {run.status}" for name, run in zip(names, runs, strict=True) if run.status != "complete"]
    findings = []
    if found:
        text = f"The runs differ in more than the method: {wording.join(found)}. Differences may come from there."
        findings.append(Finding("Compare with care", "mixed", text))
    if ended:
        findings.append(Finding("Not carried through", "bad", f"Not every run went to its end: {wording.join(ended)}."))
    return findings
