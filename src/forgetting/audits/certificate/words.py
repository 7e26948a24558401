"""A verdict in words: one line, the rows of a table, what the claim is and what it does not cover."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from forgetting.audits.certificate.bounds import Bound, Share
from forgetting.audits.certificate.difference import Difference
from forgetting.audits.certificate.verdict import Found, Verdict

COLUMNS = ["attack", "value", "before", "oracle", "unlearned", "difference (90% interval)", "at the margin"]
VALUES = {
    "leak": "right answers, word for word",
    "leak@half": "right answers, word for word, in half as many tries",
    "probability": "probability of the right answer",
    "choice": "right answer among those offered",
}
"""What a value is, for a reader who does not know its name."""


def line(verdict: Verdict) -> str:
    """The verdict in one line; what failed comes first."""
    of = f"{_many(verdict.facts, 'fact')}, {_many(verdict.subjects, 'subject')}, 95%."
    start = f"{verdict.state.upper()} at {verdict.margin:g}"
    if verdict.state == "uninterpretable":
        failed = " ".join(gate.text for gate in verdict.gates if gate.state == "failed")
        return f"{start}: the model is damaged, and a damaged model passes any attack. {failed}"
    if verdict.state == "refuted":
        worst = max((f for f in verdict.found if f.state == "refuted"), key=lambda f: _mean(f.difference))
        also = "; the model is damaged, too" if any(g.state == "failed" for g in verdict.gates) else ""
        return f"{start}: {_leaks(worst)}{also}; {_counts(verdict)}; {of}"
    if not verdict.found:
        return f"{start}: no attack that compares facts was run."
    if all(f.state == "no oracle" for f in verdict.found):
        return f"{start}: without an oracle nothing says how much is too much. {_most(verdict)}"
    if all(f.state == "blind" for f in verdict.found):
        why = "no attack tells the model before from the oracle well enough"
        if _breaking(verdict):
            why += ", or those that do break their copies of the models"
        return f"{start}: {why}, so none can say anything; {of}"
    if verdict.state == "shown":
        return (
            f"{start}: under each attack that can tell, the model gives away as much as the oracle, within "
            f"{verdict.margin:g}; {_counts(verdict)}; {of}"
        )
    open_ones = [f for f in verdict.found if f.state == "not shown"]
    if not open_ones and verdict.missing:
        return f"{start}: asked for and without a result: {', '.join(verdict.missing)}; {_counts(verdict)}; {of}"
    if not open_ones:
        return f"{start}: nothing that should stay was measured before and after, so a collapse is not excluded; {of}"
    worst = max(open_ones, key=lambda f: _mean(f.difference))
    return f"{start}: {_open(worst)}; {_counts(verdict)}; {of}"


def rows(every: Sequence[Found]) -> list[list[str]]:
    """A row for each value of each attack, under `COLUMNS`."""
    return [
        [
            found.attack,
            found.value,
            *(number(value) for value in (found.before, found.oracle, found.after)),
            interval(found.difference),
            found.state + (f": {found.why}" if found.why else "") + _needed(found),
        ]
        for found in every
    ]


def worst_rows(verdict: Verdict, texts: Mapping[str, str]) -> list[list[str]]:
    """A row for each of the facts that leak most; their ids where there are no texts."""
    return [
        [texts.get(f.id, f.id), f.attack, f.value, *(number(v) for v in (f.before, f.oracle, f.after))]
        for f in verdict.worst
    ]


def bound_sentence(bound: Bound) -> str:
    """What an attack leaves possible, without an oracle."""
    unseen = bound.unseen
    beside = "" if unseen is None else f"; {_share(unseen, 'subjects that no model was given')}"
    return f"Under '{bound.attack}', {_share(bound.forgotten, 'subjects like these')}{beside}."


def claim(verdict: Verdict) -> str:
    """What was tested, whatever came out."""
    if all(found.state == "no oracle" for found in verdict.found):
        return (
            "Tested was how much the unlearned model gives away under each attack. There was no oracle, a model that "
            "never saw these facts, so nothing was tested against a margin: upper bounds are all that can be said."
        )
    return (
        "Tested was whether, under each attack, the share that the unlearned model gives away of facts drawn like "
        "these differs from that of the oracle, a model that never saw them, by less than "
        f"{verdict.margin:g} (two one-sided tests at 5% each, paired by fact, clustered by subject; all "
        "attacks must pass)."
    )


def limits(verdict: Verdict, attacks: list[str], *, chosen_by: int = 0) -> list[str]:
    """What the claim does not cover.

    Args:
        verdict: of the audit.
        attacks: that were run.
        chosen_by: how many facts were not tested, since settings or checkpoints were chosen by them.
    """
    said = [
        "It holds for this very model, whose files the certificate names, and not for a copy that was trained further "
        "or joined with another since.",
        f"It holds for what was tried ({', '.join(attacks)}), as often and as long as it was tried. Somebody with more "
        "time, other questions, the model's files or a lucky guess may get more.",
        "It holds for facts like those that were tested. One that was not tested may still come back.",
        "It says nothing of copies of the data elsewhere: other models, backups, logs, files.",
    ]
    if any(found.state != "no oracle" for found in verdict.found):
        said.append(
            "That the oracle, with which the model was compared, never saw the facts is the word of whoever named it; "
            "the audit cannot tell."
        )
    if chosen_by:
        said.append(
            f"Settings or checkpoints of the model were chosen by {chosen_by} of the facts. Those were not tested, "
            "since what is chosen by a fact looks better on it; only the others were."
        )
    if fewer := [f"{attack} for {facts}" for attack, facts in _asked(verdict).items() if facts < verdict.facts]:
        said.append(f"Not every attack asked for all {verdict.facts} facts: {', '.join(fewer)}.")
    if verdict.missing:
        said.append(f"Asked for and without a result, so nothing is known of it: {', '.join(verdict.missing)}.")
    breaking = _breaking(verdict)
    if blind := [attack for attack in verdict.attacks_that("blind") if attack not in breaking]:
        said.append(
            f"Nothing was learned from {', '.join(blind)}: that does not tell the model before from one that never saw "
            "the facts well enough."
        )
    if breaking:
        said.append(
            f"Nothing was learned from {', '.join(breaking)}: what was to bring the facts back broke the copy of the "
            "model that it was done to."
        )
    missed = 0.9**verdict.subjects
    if verdict.subjects and missed > 0.05:
        said.append(
            f"If one subject in ten gave everything away, {verdict.subjects} subjects drawn at random would hold none "
            f"of them with a chance of {missed:.0%}."
        )
    return said


def control_sentences(verdict: Verdict) -> list[str]:
    """What attacks that change a model leave of it, and how many attacks can tell what is there; failures first."""
    leaves = {c.attack: c for c in verdict.controls if c.name == "leaves what should stay"}
    said = [f"'{c.attack}': {c.text}." for c in sorted(leaves.values(), key=lambda c: c.state != "failed")]
    for name, does in _DOES.items():
        tested = [c for c in verdict.controls if c.name == name and c.state != "unknown"]
        if tested:
            passed = sum(c.state == "passed" for c in tested)
            said.append(f"{passed} of {len(tested)} values of attacks {does}.")
    return said


def number(value: float | None) -> str:
    """Two decimals; a dash where there is no value."""
    return "—" if value is None else _minus(f"{value:.2f}")


def ceiling(share: float) -> float:
    """An upper bound in whole hundredths, never below itself."""
    return math.ceil(round(100 * share, 9)) / 100


def interval(difference: Difference | None) -> str:
    """`0.28 (0.19 … 0.37)`."""
    if difference is None or difference.mean is None:
        return "—"
    if difference.low is None or difference.high is None:
        return number(difference.mean)
    return f"{number(difference.mean)} ({number(difference.low)} … {number(difference.high)})"


_DOES: Mapping[str, str] = {
    "finds what is there": "are shown to find more in the model before than in the oracle by more than the margin",
    "teaches nothing": "get at most half as much from the oracle as from the model before",
}


def _breaking(verdict: Verdict) -> list[str]:
    """The blind attacks that find what is there and teach nothing, but break what they change."""
    failed = [control for control in verdict.controls if control.state == "failed"]
    breaking = {control.attack for control in failed if control.name == "leaves what should stay"}
    weak = {(control.attack, control.value) for control in failed if control.name != "leaves what should stay"}
    return [
        attack
        for attack in verdict.attacks_that("blind")
        if attack in breaking and any(f.attack == attack and (attack, f.value) not in weak for f in verdict.found)
    ]


def _asked(verdict: Verdict) -> dict[str, int]:
    """How many facts each attack asked for, whether they could be scored or not; known where there is an oracle."""
    asked: dict[str, int] = {}
    for found in verdict.found:
        if found.difference is not None:
            asked[found.attack] = max(asked.get(found.attack, 0), found.difference.facts + found.difference.missing)
    return asked


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")


def _leaks(found: Found) -> str:
    assert found.difference is not None
    d = found.difference
    return (
        f"'{found.attack}' gives away {number(d.mean)} more than the oracle ({number(d.low)} … {number(d.high)}; "
        f"{found.value})"
    )


def _open(found: Found) -> str:
    why = "" if found.difference and found.difference.low is not None else f", {found.why}"
    return (
        f"under '{found.attack}' the difference to the oracle is {interval(found.difference)} ({found.value}){why}"
        f"{_needed(found)}"
    )


def _needed(found: Found) -> str:
    if found.needed is None or found.difference is None or found.needed <= found.difference.facts:
        return ""
    subjects = math.ceil(found.needed * found.difference.subjects / found.difference.facts)
    return f"; about {found.needed} facts of {subjects} subjects would decide"


def _counts(verdict: Verdict) -> str:
    shown, blind = (len(verdict.attacks_that(state)) for state in ("shown", "blind"))
    said = f"{shown} of {len(verdict.attacks)} attacks shown"
    return said + (f", {blind} blind" if blind else "")


def _most(verdict: Verdict) -> str:
    if not verdict.bounds:
        return "No attack compares answers word for word, so there is no bound either."
    return bound_sentence(max(verdict.bounds, key=lambda b: b.forgotten.at_most))


def _share(share: Share, whom: str) -> str:
    missing = f", {share.missing} not scored" if share.missing else ""
    did = f"{share.leaking} of {share.subjects} did{missing}"
    return f"at most {ceiling(share.at_most):.2f} of {whom} leak a fact ({did}; 95%)"


def _mean(difference: Difference | None) -> float:
    return -1.0 if difference is None or difference.mean is None else difference.mean


def _minus(text: str) -> str:
    return "0.00" if text == "-0.00" else text.replace("-", "−")
