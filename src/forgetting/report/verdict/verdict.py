"""The verdict in plain words. It states only what the intervals support: lower, higher, or not told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding, Tone
from forgetting.report.verdict.finetuning import domain, forgets_nothing, learned
from forgetting.report.verdict.intervals import amount, reason_at, relation, value_at
from forgetting.report.verdict.requests import requests
from forgetting.report.verdict.stop_rule import goals
from forgetting.runs.results import Results

Forgetting = Literal["oracle", "beyond", "partial", "none", "nothing", "lower", "open", "unmeasured"]
Keeping = Literal["kept", "damaged", "destroyed", "open", "unmeasured"]

_FORGETTING_WORDS: dict[Forgetting, tuple[Tone, str]] = {
    "oracle": ("good", "The forget set is down to the oracle's level"),
    "beyond": ("mixed", "The forget set is below the oracle's level (over-forgetting)"),
    "partial": ("mixed", "The forget set is forgotten in part"),
    "none": ("bad", "No forgetting is shown"),
    "nothing": ("open", "The start and the oracle do not differ on the forget set, so forgetting cannot be shown"),
    "lower": ("open", "The forget set was lowered; without an oracle nothing says whether far enough or too far"),
    "open": ("open", "Whether anything was forgotten is open"),
    "unmeasured": ("open", "What was forgotten was not measured"),
}
_KEEPING_WORDS: dict[Keeping, tuple[Tone, str]] = {
    "kept": ("good", "no loss of what should stay is shown"),
    "damaged": ("mixed", "what should stay is damaged"),
    "destroyed": ("bad", "most of what should stay is gone"),
    "open": ("open", "what it cost elsewhere is open"),
    "unmeasured": ("open", "what it cost elsewhere was not measured"),
}
_FAILED = {
    "Goal": "A goal was not reached.",
    "Movement": "Almost nothing moved.",
    "Request": "A request did not come down to unseen text, or rose again.",
}
"""What a headline begins with, by the topic of a finding that is bad news."""
_LEARNT: dict[Tone, str] = {
    "good": "known better than at the start",
    "bad": "known worse than at the start",
    "open": "not told apart from the start",
}
_WORST: tuple[Keeping, ...] = ("destroyed", "damaged", "open", "kept", "unmeasured")
_TONES: tuple[Tone, ...] = ("bad", "mixed", "open", "good")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A headline and the findings under it."""

    headline: str
    tone: Tone
    findings: tuple[Finding, ...]

    @property
    def sentences(self) -> list[str]:
        """The headline and every finding as text."""
        return [self.headline, *(finding.text for finding in self.findings)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the verdict on one run rests on."""

    forgetting: Forgetting
    keeping: Keeping
    leaks: bool
    """Another form of the question still finds what was to be forgotten."""
    told_apart: bool
    """The test of forget quality distinguishes the run from the oracle."""
    findings: tuple[Finding, ...]


def verdict(run: Results) -> Verdict:
    """The verdict on one run: forgetting against the oracle, what it cost, what the p-value does and does not say."""
    if run.status == "complete" and forgets_nothing(run):
        words, tone, found = learned(run)
        return Verdict(words, tone, (*found, limits([run])))
    judgement = judge(run)
    tone, text = _FORGETTING_WORDS[judgement.forgetting]
    cost_tone, cost = _KEEPING_WORDS[judgement.keeping]
    leak = "; asked in another form, more is left" if judgement.leaks else ""
    apart = judgement.forgetting == "oracle" and judgement.told_apart
    test = ", though truth ratios still tell it from the oracle" if apart else ""
    learnt = "".join(f"; held-out data of what was trained on are {_LEARNT[f.tone]}" for f in domain(run))
    words = f"{text}{test}{leak}; {cost}{learnt}."
    tones: list[Tone] = [tone, cost_tone, "mixed" if judgement.leaks or judgement.told_apart else "good"]
    failed = [text for topic, text in _FAILED.items() if any(_failed(f, topic) for f in judgement.findings)]
    if failed:
        words = f"{' '.join(failed)} {words}"
        tones = ["bad"]
    if run.status == "collapsed":
        words = f"Training collapsed. {words}"
        tones = ["bad"]
    elif run.status == "stopped":
        words = f"Stopped before its end. {words}"
    return Verdict(words, min(tones, key=_TONES.index), judgement.findings)


def _failed(finding: Finding, topic: str) -> bool:
    return finding.topic == topic and finding.tone == "bad"


def judge(run: Results) -> Judgement:
    """The findings on one run and the classes they fall into."""
    forgetting, first = _forgetting(run, headline_measures.forgetting_key([run]))
    forms = [finding for key in headline_measures.other_forms_keys([run]) if (finding := _other_form(run, key))]
    retain, retain_finding = _keeping(run, headline_measures.retention_key([run]), "Retain")
    utility, utility_finding = _keeping(run, headline_measures.utility_key([run]), "Utility")
    keeping = min((retain, utility), key=_WORST.index)
    quality = _quality(run, headline_measures.quality_key([run]), keeping)
    findings = [
        *_ending(run),
        *goals(run),
        *requests(run),
        first,
        *forms,
        retain_finding,
        utility_finding,
        *domain(run),
        *quality,
        limits([run]),
    ]
    leaks, told_apart = (any(f.tone == "mixed" for f in found) for found in (forms, quality))
    return Judgement(forgetting, keeping, leaks, told_apart, tuple(findings))


def limits(runs: Sequence[Results]) -> Finding:
    """What the intervals do not cover."""
    counts = {m.count for run in runs if (m := value_at(run.after, headline_measures.forgetting_key(runs)))}
    over = f" ({wording.join([wording.count(c) for c in sorted(counts)])} on the forget set)" if counts else ""
    text = (
        f"Intervals are 95 % over the examples{over}. They do not cover the randomness of training: each run is one "
        "seed, and another seed can differ by more."
    )
    return Finding("How far this goes", "note", text)


def _ending(run: Results) -> list[Finding]:
    if run.status == "complete":
        return []
    stage = run.stages[-1] if run.stages else None
    where = f" in stage {stage.name} after {stage.steps} steps" if stage else ""
    why = f": {stage.message.rstrip('.')}" if stage and stage.message else ""
    kept = (
        f" What is measured below is the checkpoint that was kept: {stage.kept.rstrip('.')}."
        if stage and stage.kept
        else ""
    )
    if run.status == "collapsed":
        return [Finding("Collapse", "bad", f"Training collapsed{where}{why}.{kept}")]
    return [Finding("Stopped", "open", f"The run was stopped{where}{why}.{kept}")]


def _forgetting(run: Results, key: str | None) -> tuple[Forgetting, Finding]:
    before, after = value_at(run.before, key), value_at(run.after, key)
    oracle = value_at(run.oracle_evaluation, key)
    if after is None:
        text = f"How much was forgotten is not known: {reason_at(run.after, key)}."
        return "unmeasured", Finding("Forgetting", "open", text)
    state = _forgetting_state(before, after, oracle)
    reading = {
        "oracle": "The intervals of the run and the oracle overlap: at this sample size the two are not told apart.",
        "beyond": "That is below the oracle (over-forgetting): the model finds the right answers less likely than one "
        "that never saw them, which can itself give away what was forgotten.",
        "partial": f"That is still above the oracle: forgetting is incomplete{_way(before, after, oracle)}.",
        "none": "No drop is shown.",
        "nothing": "The intervals of the start and the oracle overlap: on this measure there is little to forget, or "
        "too few examples to see it.",
        "lower": "",
        "open": "There is nothing to tell a difference from noise by.",
    }[state]
    missing = (
        "" if oracle else f" No oracle to compare with ({_no_oracle(run, key)}): whether this is enough is unknown."
    )
    text = f"{_path(before, after, oracle, 'which never saw these examples')}. {reading}".strip() + missing
    return state, Finding("Forgetting", _FORGETTING_WORDS[state][0], text)


def _forgetting_state(before: Measure | None, after: Measure, oracle: Measure | None) -> Forgetting:
    fell = relation(after, before) if before else "unclear"
    stands = relation(after, oracle) if oracle else None
    if stands is None or stands == "higher":
        if fell == "lower":
            return "partial" if stands else "lower"
        return "open" if fell == "unclear" else "none"
    if stands == "lower":
        return "beyond"
    if stands == "overlap" and before and oracle and relation(before, oracle) == "overlap":
        return "nothing"
    return "oracle" if stands == "overlap" else "open"


def _way(before: Measure | None, after: Measure, oracle: Measure | None) -> str:
    """How much of the way from start to oracle was gone."""
    if before is None or oracle is None or amount(before) <= amount(oracle):
        return ""
    way = (amount(before) - amount(after)) / (amount(before) - amount(oracle))
    return f", {100 * way:.0f} % of the way from the start to the oracle"


def _no_oracle(run: Results, key: str | None) -> str:
    return "none was given" if run.oracle_evaluation is None else reason_at(run.oracle_evaluation, key)


def _path(before: Measure | None, after: Measure, oracle: Measure | None, aside: str = "") -> str:
    """`forget · probability went from 0.890 (…) to 0.070 (…); the oracle has 0.210 (…)`."""
    start = f"went from {wording.with_interval(before)} to" if before else "is (its start was not measured)"
    text = f"{wording.title(after).capitalize()} {start} {wording.with_interval(after)}"
    aside = f", {aside}," if aside else ""
    return f"{text}; the oracle{aside} has {wording.with_interval(oracle)}" if oracle else text


def _other_form(run: Results, key: str) -> Finding | None:
    """The same facts asked for in another form.

    Tone `mixed` where clearly more is left than in the oracle or, without one, where no drop is shown.
    """
    before, after, oracle = (value_at(e, key) for e in (run.before, run.after, run.oracle_evaluation))
    if after is None:
        return None
    if oracle is not None:
        left = relation(after, oracle) == "higher"
    else:
        left = before is not None and relation(after, before) in {"overlap", "higher"}
    text = f"{_path(before, after, oracle)}."
    if left:
        text += " Asked in this form, the model still knows more than it should: part of it is only hidden."
    return Finding("Another form", "mixed" if left else "note", text)


def _keeping(run: Results, key: str | None, topic: str) -> tuple[Keeping, Finding]:
    before, after = value_at(run.before, key), value_at(run.after, key)
    if after is None:
        return "unmeasured", Finding(topic, "open", f"{topic} was not measured: {reason_at(run.after, key)}.")
    oracle = value_at(run.oracle_evaluation, key)
    if before is None:
        return "open", Finding(topic, "open", f"{_path(before, after, oracle)}. What was lost is unknown.")
    state = _keeping_state(before, after)
    reading = {
        "destroyed": "Less than half of it is left.",
        "damaged": "The intervals do not overlap: this is a loss, not noise of the sample.",
        "kept": f"No loss is shown{_room(before, after)}.",
        "open": "Without intervals, a difference is not distinguishable from noise.",
    }[state]
    return state, Finding(topic, _KEEPING_WORDS[state][0], f"{_path(before, after, oracle)}. {reading}")


def _keeping_state(before: Measure, after: Measure) -> Keeping:
    change = relation(after, before)
    if change == "unclear":
        return "open"
    if change != ("higher" if after.direction == "down" else "lower"):
        return "kept"
    halved = after.direction != "down" and amount(after) < amount(before) / 2
    return "destroyed" if halved else "damaged"


def _room(before: Measure, after: Measure) -> str:
    if after.low is None or after.direction == "down" or after.low >= amount(before):
        return ""
    return f", though the interval reaches down to {wording.amount_text(after.low)}"


def _quality(run: Results, key: str | None, keeping: Keeping) -> list[Finding]:
    if key is None:
        return []
    measure = value_at(run.after, key)
    if measure is None or measure.value is None:
        return [Finding("Forget quality", "open", f"Forget quality was not measured: {reason_at(run.after, key)}.")]
    text = f"Forget quality is p = {wording.number(measure.value)}. "
    if measure.value < 0.05:
        text += "The test tells the run's truth ratios from the oracle's."
    else:
        text += "The test does not tell the run's truth ratios from the oracle's; that does not show they are alike."
        if keeping in {"damaged", "destroyed"}:
            text += " As what should stay is damaged, do not count it as success."
    text += " A p-value alone means nothing: a ruined model can reach a high one. Read it with retain and utility."
    return [Finding("Forget quality", "mixed" if measure.value < 0.05 else "note", text)]
