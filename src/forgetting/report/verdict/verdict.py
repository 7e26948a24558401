"""The verdict in plain words: what failed first, then only what the numbers support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.metrics.movement import LITTLE
from forgetting.report import headline_measures, wording
from forgetting.report.verdict import forgotten, kept
from forgetting.report.verdict.beside_unseen import BesideUnseen, beside_unseen
from forgetting.report.verdict.earlier import earlier
from forgetting.report.verdict.finding import Finding, Tone
from forgetting.report.verdict.finetuning import domain, forgets_nothing, gone, learned
from forgetting.report.verdict.intervals import reason_at, value_at
from forgetting.report.verdict.measured import MEASURED, measured
from forgetting.report.verdict.models import Models, capital
from forgetting.report.verdict.requests import requests
from forgetting.report.verdict.samples import samples
from forgetting.report.verdict.stop_rule import goals, missed, reached
from forgetting.report.verdict.unfinished import not_finished
from forgetting.report.verdict.unseen_fell import unseen_fell, unseen_halved
from forgetting.runs.results import Results

_LEARNT: dict[Tone, str] = {
    "good": "known better than at the start",
    "bad": "known worse than at the start",
    "open": "not told apart from the start",
}
_TONES: tuple[Tone, ...] = ("bad", "mixed", "open", "good")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A headline and the findings under it."""

    headline: str
    tone: Tone
    findings: tuple[Finding, ...]
    failed: tuple[str, ...] = ()
    """A sentence for everything that the run was to do and did not; the headline begins with them."""
    requests: tuple[Finding, ...] = ()
    """Of several sets that were to be forgotten: one finding for each; they are among the findings, too."""

    @property
    def sentences(self) -> list[str]:
        """The headline and every finding as text."""
        return [self.headline, *(finding.text for finding in self.findings)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the verdict on one run rests on."""

    forgetting: forgotten.State
    keeping: kept.Keeping
    leaks: bool
    """Another form of the question still finds what was to be forgotten."""
    told_apart: bool
    """The test of forget quality distinguishes the run from the oracle."""
    beside: BesideUnseen
    """How likely forget text is beside unseen text."""
    findings: tuple[Finding, ...]
    requests: tuple[forgotten.Request, ...] = ()
    learnt: tuple[Finding, ...] = ()
    earlier: tuple[Finding, ...] = ()
    """On what earlier runs were to forget."""
    forms: tuple[Finding, ...] = ()
    """On the same facts asked for in another form."""


def verdict(run: Results) -> Verdict:
    """The verdict on one run: forgetting against the oracle, what it cost, what the p-value does and does not say.

    A run that is not at its end is not judged (`unfinished`).
    """
    if run.evaluated:
        return Verdict(MEASURED, "open", tuple(measured([run])))
    if run.status == "unfinished":
        text, findings = not_finished(run)
        return Verdict(text, "open", findings, (text,))
    models = Models.of(run)
    ended = [*_unfinished(run), *missed(run), *_unmoved(models)]
    if forgets_nothing(run):
        words, tone, found = learned(models)
        before = earlier(models, headline_measures.forgetting_key([run]))
        failed = [*ended, *(finding.text for finding in before if finding.tone == "bad"), *gone(models)]
        findings = (*_ending(run), *goals(run), *before, *found, *limits([run]))
        headline = " ".join([*failed, *([words] if not _unmoved(models) else [])])
        return Verdict(headline, "bad" if failed else tone, findings, tuple(failed))
    judgement = judge(models)
    unmoved = bool(ended) and (bool(_unmoved(models)) or _little(run))
    failed = [*ended, *_failed(models, judgement, unmoved=unmoved)]
    rest = _rest(models, judgement, unmoved=unmoved)
    tones: list[Tone] = [kept.WORDS[judgement.keeping][0]]
    tones += [forgotten.WORDS[state][0] for state in _states(judgement)]
    tones.append("mixed" if judgement.leaks or judgement.told_apart or judgement.beside.findings else "good")
    tone = "bad" if failed else min(tones, key=_TONES.index)
    lines = tuple(request.finding for request in judgement.requests)
    return Verdict(" ".join([*failed, *rest]), tone, judgement.findings, tuple(failed), lines)


def judge(models: Models) -> Judgement:
    """The findings on one run and the classes they fall into."""
    run = models.run
    key = headline_measures.forgetting_key([run])
    state, first = forgotten.forgetting(models, key)
    asked = forgotten.requests(models)
    forms = [
        finding
        for form in headline_measures.other_forms_keys([run])
        if (finding := forgotten.other_form(models, form, state))
    ]
    state_of_rest, costs = kept.keeping(models)
    quality = _quality(models, headline_measures.quality_key([run]), state_of_rest)
    learnt = domain(models)
    beside = beside_unseen(models)
    before = earlier(models, key)
    findings = [
        *_ending(run),
        *goals(run, harmed=state_of_rest in {"damaged", "destroyed"}),
        *(request.finding for request in asked),
        *requests(run),
        *before,
        *([] if key in headline_measures.sets_keys([run]) and asked else [first]),
        *beside.findings,
        *unseen_fell(models),
        *forms,
        *costs,
        *learnt,
        *quality,
        *limits([run]),
    ]
    leaks, told_apart = (any(f.tone == "mixed" for f in found) for found in (forms, quality))
    return Judgement(
        state,
        state_of_rest,
        leaks,
        told_apart,
        beside,
        tuple(findings),
        requests=tuple(asked),
        learnt=tuple(learnt),
        earlier=tuple(before),
        forms=tuple(forms),
    )


def limits(runs: Sequence[Results]) -> list[Finding]:
    """What rests on a sample, and what the intervals do not cover; nothing where there are none."""
    drawn = samples(runs)
    if not any(m.low is not None for run in runs if run.after for m in run.after.measures):
        return drawn
    counts = {m.count for run in runs if (m := value_at(run.after, headline_measures.forgetting_key(runs)))}
    over = f" ({wording.join([wording.count(c) for c in sorted(counts)])} on the forget set)" if counts else ""
    text = (
        f"Intervals are 95 % over the examples{over}. They do not cover the randomness of training: each run is one "
        "seed, and another seed can differ by more."
    )
    return [*drawn, Finding("How far this goes", "note", text)]


def _states(judgement: Judgement) -> list[forgotten.State]:
    return [request.state for request in judgement.requests] or [judgement.forgetting]


def _failed(models: Models, judgement: Judgement, *, unmoved: bool) -> list[str]:
    """Sentences on what the numbers show to have failed; where almost nothing moved, not what that says already."""
    key = headline_measures.forgetting_key([models.run])
    said = [finding.text for finding in (*requests(models.run), *judgement.earlier) if finding.tone == "bad"]
    said += [
        f"Request {r.name}: {capital(forgotten.headline_of(models, r.key, r.state))}."
        for r in judgement.requests
        if r.state in forgotten.FAILED and not unmoved
    ]
    if not judgement.requests and judgement.forgetting in forgotten.FAILED and not unmoved:
        said.append(f"{forgotten.headline_of(models, key, judgement.forgetting)}.")
    said += [form.text for form in judgement.forms if form.tone == "bad" and not unmoved]
    if judgement.keeping == "destroyed":
        said.append(f"{capital(kept.WORDS['destroyed'][1])}.")
    return said


def _rest(models: Models, judgement: Judgement, *, unmoved: bool) -> list[str]:
    """The sentence on everything that did not fail; where almost nothing moved, on what was lost all the same."""
    if unmoved:
        return [f"{capital(kept.WORDS['damaged'][1])}."] if judgement.keeping == "damaged" else []
    state, parts = judgement.forgetting, []
    met = reached(models.run)
    if judgement.requests:
        parts.append(forgotten.counted(_states(judgement)))
    elif state not in forgotten.FAILED:
        key = headline_measures.forgetting_key([models.run])
        apart = state == "oracle" and judgement.told_apart
        test = ", though truth ratios still tell it from the oracle" if apart else ""
        found = forgotten.headline_of(models, key, state, compared=bool(met) or bool(judgement.beside.headline))
        parts.append(f"{found}{test}")
    parts += [*met, *judgement.beside.headline, *unseen_halved(models)]
    if judgement.leaks:
        parts.append("asked in another form, more is left")
    if judgement.keeping != "destroyed":
        parts.append(kept.WORDS[judgement.keeping][1])
    parts += [f"held-out data of what was trained on are {_LEARNT[f.tone]}" for f in judgement.learnt]
    return [f"{capital('; '.join(parts))}."] if parts else []


def _unfinished(run: Results) -> list[str]:
    return {"collapsed": ["Training collapsed."], "stopped": ["Stopped before its end."]}.get(run.status, [])


def _unmoved(models: Models) -> list[str]:
    """Where every measure at the end is exactly that of the start, nothing was learned and nothing forgotten."""
    run = models.run
    keys = [m.key for m in (run.after.measures if run.after else ()) if m.value is not None and m.name != "balance"]
    same = [key for key in keys if models.before.value(key)]
    begun = [m.key for m in (run.before.measures if run.before else ()) if m.value is not None]
    if not same or set(begun) - set(keys) or any(stage.moved is not None for stage in run.stages):
        return []  # what is not measured any more may have moved; where the stages know how far they moved, they say it
    moved = any(value_at(run.before, key).value != value_at(run.after, key).value for key in same)  # type: ignore[union-attr]
    return [] if moved else [f"Nothing moved: {_every(len(same))} at the end exactly what it was at the start."]


def _little(run: Results) -> bool:
    """Whether every stage moved almost nothing, as far as is known of all: then small changes are no findings.

    What the forget set gained, in a stage that makes it better known or in one that learns, is a finding.
    """
    return bool(run.stages) and all(
        stage.moved is not None and stage.moved.little and stage.moved.share > -LITTLE for stage in run.stages
    )


def _every(count: int) -> str:
    return "the one measure is" if count == 1 else f"each of {count} measures is"


def _ending(run: Results) -> list[Finding]:
    if run.status == "complete":
        return []
    stage = run.stages[-1] if run.stages else None
    where = f" in stage {stage.name} after {stage.steps} step{'s' if stage.steps != 1 else ''}" if stage else ""
    why = f": {stage.message.rstrip('.')}" if stage and stage.message else ""
    left = (
        f" What is measured below is the checkpoint that was kept: {stage.kept.rstrip('.')}."
        if stage and stage.kept and run.after
        else ""
    )
    if run.status == "collapsed":
        return [Finding("Collapse", "bad", f"Training collapsed{where}{why}.{left}")]
    return [Finding("Stopped", "open", f"The run was stopped{where}{why}.{left}")]


def _quality(models: Models, key: str | None, keeping: kept.Keeping) -> list[Finding]:
    if key is None:
        return []
    measure = models.after.value(key)
    if measure is None or measure.value is None:
        reason = reason_at(models.after.evaluation, key)
        return [Finding("Forget quality", "open", f"Forget quality was not measured: {reason}.")]
    text = f"Forget quality is p = {wording.number(measure.value)}. "
    if measure.value < 0.05:
        text += "The test tells the run's truth ratios from the oracle's."
    else:
        text += "The test does not tell the run's truth ratios from the oracle's; that does not show they are alike."
        if keeping in {"damaged", "destroyed"}:
            text += " As a loss of what should stay is shown, do not count it as success."
    text += " A p-value alone means nothing: a ruined model can reach a high one. Read it with retain and utility."
    return [Finding("Forget quality", "mixed" if measure.value < 0.05 else "note", text)]
