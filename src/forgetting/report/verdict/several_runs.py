"""The verdict on several runs: who is closest to the oracle, who keeps most, and where the order is not shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import Distance, amount, distance_to_oracle, relation, value_at
from forgetting.report.verdict.verdict import Verdict, judge, limits, verdict
from forgetting.runs.results import Results, labels


def comparison(runs: Sequence[Results]) -> Verdict:
    """The verdict on runs side by side; on a single run, the verdict on it.

    Being closest and keeping most are two questions and are not merged into one score.
    """
    if len(runs) == 1:
        return verdict(runs[0])
    names = labels(runs)
    closest, first = _closest(runs, names)
    keepers, second = _most(runs, names, headline_measures.retention_key(runs), "Keeps most (retain)")
    _, third = _most(runs, names, headline_measures.utility_key(runs), "Keeps most (utility)")
    caution = _caution(runs, names)
    each = [Finding(name, v.tone, v.headline) for name, run in zip(names, runs, strict=True) for v in [verdict(run)]]
    findings = [*first, *second, *third, *each, *caution, limits(runs)]
    return Verdict(_headline(runs, names, closest, keepers), "mixed" if caution else "open", tuple(findings))


def _headline(runs: Sequence[Results], names: Sequence[str], closest: list[int], keepers: list[int]) -> str:
    if not keepers:
        keeps = "nothing says which run keeps most"
    elif len(keepers) > 1:
        keeps = f"{wording.join([names[i] for i in keepers])} keep the most of the retain set, their order is not shown"
    else:
        keeps = f"{names[keepers[0]]} keeps the most of the retain set"
    if not closest:
        return f"Without an oracle's value nothing says which run forgets rightly; {keeps}."
    lost = {"damaged": ", at a loss elsewhere", "destroyed": ", with most of what should stay gone"}
    if len(closest) > 1:
        tied = wording.join([names[i] for i in closest])
        return f"{tied} come equally close to the oracle on the forget set, within their intervals; {keeps}."
    nearest = closest[0]
    note = lost.get(judge(runs[nearest]).keeping, "")
    first = f"{names[nearest]} ends closest to the oracle on the forget set{note}"
    return f"{first}, and keeps the most of the retain set." if closest == keepers else f"{first}; {keeps}."


def _closest(runs: Sequence[Results], names: Sequence[str]) -> tuple[list[int], list[Finding]]:
    """The runs that are nearest to the oracle, as far as the intervals say, nearest first, and the words for it."""
    key = headline_measures.forgetting_key(runs)
    found = [(i, d) for i, run in enumerate(runs) if (d := distance_to_oracle(names[i], run, key))]
    topic = "Closest to the oracle"
    if not found:
        return [], [Finding(topic, "open", "No run has both a forget measure and an oracle's value of it.")]
    found.sort(key=lambda pair: pair[1].value)
    best = found[0][1]
    listed = wording.join([f"{d.label} is {wording.amount_text(d.value)} away" for _, d in found])
    text = f"{wording.title(best.measure).capitalize()}: {listed}.{_tied(best, [d for _, d in found[1:]])}"
    return [i for i, d in found if d.low <= best.high], [Finding(topic, "note", text)]


def _tied(best: Distance, others: Sequence[Distance]) -> str:
    tied = [d.label for d in others if d.low <= best.high]
    if not others:
        return ""
    if not tied:
        return f" The intervals set {best.label} apart from the others."
    return f" The intervals of {wording.join([best.label, *tied])} allow the same distance: their order is not shown."


def _most(
    runs: Sequence[Results], names: Sequence[str], key: str | None, topic: str
) -> tuple[list[int], list[Finding]]:
    """The runs whose value is not distinguishable from the best, best first, and the words for it."""
    found: list[tuple[int, Measure]] = [(i, m) for i, run in enumerate(runs) if (m := value_at(run.after, key))]
    if not found:
        return [], []
    sign = -1.0 if found[0][1].direction == "down" else 1.0
    found.sort(key=lambda pair: -sign * amount(pair[1]))
    index, best = found[0]
    listed = wording.join([f"{names[i]} {wording.with_interval(m)}" for i, m in found])
    start = next((m for run in runs if (m := value_at(run.before, key))), None)
    origin = f" (start {wording.value_text(start)})" if start else ""
    tied = [names[i] for i, m in found[1:] if relation(m, best) in {"overlap", "unclear"}]
    if tied:
        order = f" The intervals of {wording.join([names[index], *tied])} overlap: their order is not shown."
    else:
        order = f" The interval of {names[index]} lies apart from the others." if len(found) > 1 else ""
    keepers = [index, *(i for i, m in found[1:] if names[i] in tied)]
    return keepers, [Finding(topic, "note", f"{wording.title(best).capitalize()}{origin}: {listed}.{order}")]


def _caution(runs: Sequence[Results], names: Sequence[str]) -> list[Finding]:
    """What differs between the runs besides the method, so that the comparison may not be one."""
    differs: dict[str, set[Any]] = {
        "the suite": {run.suite for run in runs},
        "the starting model": {run.model for run in runs},
        "the forget data": {str(run.data.get("forget", {}).get("sha256")) for run in runs},
        "the oracle": {run.oracle for run in runs},
        "how settings were chosen": {(s.rule, s.budget) if (s := run.selection) else None for run in runs},
    }
    found = [what for what, values in differs.items() if len(values) > 1]
    ended = [f"{name} {run.status}" for name, run in zip(names, runs, strict=True) if run.status != "complete"]
    findings = []
    if found:
        text = f"The runs differ in more than the method: {wording.join(found)}. Differences may come from there."
        findings.append(Finding("Compare with care", "mixed", text))
    if ended:
        findings.append(Finding("Not carried through", "bad", f"Not every run went to its end: {wording.join(ended)}."))
    return findings
