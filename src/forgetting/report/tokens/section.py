"""What a stage selected by token quality (Forgetting SFT, section 4), for a person to look at.

Q = loss under the base model − loss under the reference model, per answer token: positive where the reference finds
the token easier. The report reads `stages/NAME/selection.json` and the stage's history; it computes no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.report import wording
from forgetting.report.drawing.curves import Panel
from forgetting.report.template import page
from forgetting.report.tokens.colours import EXAMPLES, LOWEST, Low, Shade, Shown, Words, low, shades, shown, signed
from forgetting.report.tokens.figures import (
    SourceBar,
    forgets,
    histograms,
    losses_in_words,
    percent,
    quality_curves,
    source_bars,
)
from forgetting.report.tokens.noise import Noise, noise_of
from forgetting.runs.results import Results, labels
from forgetting.runs.stage_result import Step
from forgetting.runs.token_selection import TokenSelection


@dataclass(frozen=True, slots=True)
class Quality:
    """The selection of one stage, as it is shown. `run` is the index of its run, None outside a run."""

    title: str
    run: int | None
    summary: str
    reference: str
    rule: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    negative: str
    redacted: bool
    histograms: list[Panel]
    outside: str
    shades: list[Shade]
    examples: tuple[Shown, ...]
    folded: tuple[Shown, ...]
    lowest: tuple[Low, ...]
    more_lowest: tuple[Low, ...]
    sources: list[SourceBar]
    noise: Noise | None
    curves: list[Panel]
    losses: str


def qualities(runs: Sequence[Results]) -> list[Quality]:
    """One entry per stage of any run that selected its tokens, in the order of runs and stages.

    Raises:
        RunError: a `selection.json` that does not hold a selection.
    """
    found = []
    for index, (run, label) in enumerate(zip(runs, labels(runs), strict=True)):
        for stage in run.stages:
            selection = run.token_selection(stage.name)
            if selection is not None:
                title = f"{label}, stage {stage.name}" if len(runs) > 1 else f"Stage {stage.name}"
                found.append(_quality(selection, title, index, run.history(stage.name)))
    return found


def quality_page(selection: TokenSelection, title: str) -> str:
    """The page of one selection outside a run: what a stage's section shows, without the curves of a training.

    All text is escaped; the page needs no network and runs no script.
    """
    quality = _quality(selection, "", None, ())
    # Half a character, as broken data hold, has no UTF-8: it is spelled out, so that the page can be written.
    return page("tokens.html.j2", title=title, quality=quality).encode(errors="backslashreplace").decode()


def _quality(selection: TokenSelection, title: str, run: int | None, steps: Sequence[Step]) -> Quality:
    words = Words() if forgets(steps) else Words("ignored")
    examples = tuple(shown(example, selection, words) for example in selection.examples)
    lowest = tuple(low(token) for token in selection.lowest)
    return Quality(
        title=title,
        run=run,
        summary=_summary(selection, words),
        reference=_reference(selection),
        rule=_rule(selection),
        notes=selection.notes,
        facts=tuple(_facts(selection, words)),
        negative=words.negative,
        redacted=selection.redacted,
        histograms=histograms(selection, words),
        outside=_outside(selection),
        shades=shades(selection),
        examples=examples[:EXAMPLES],
        folded=examples[EXAMPLES:],
        lowest=lowest[:LOWEST],
        more_lowest=lowest[LOWEST:],
        sources=source_bars(selection),
        noise=noise_of(selection, words),
        curves=quality_curves(steps, words),
        losses=losses_in_words(steps, words),
    )


def _summary(selection: TokenSelection, words: Words) -> str:
    """`Of 812 answer tokens in 9 examples, 70.0 % are learnt and 30.0 % forgotten.`"""
    total = selection.tokens
    if not total:
        return "No answer token was selected."
    counts = ((selection.positive, 1), (selection.negative, -1), (selection.ignored, 0))
    told: dict[str, int] = {}
    for n, sign in counts:
        told[words.of(sign)] = told.get(words.of(sign), 0) + (n or 0)
    shares = [f"{percent(n / total)} {word}" for word, n in told.items() if n]
    rows = f" in {wording.count(selection.rows)} examples" if selection.rows else ""
    unweighted = " The negative tokens had weight 0 on every step." if words.negative == "ignored" else ""
    told_shares = wording.join(shares).replace(" ", " are ", 1) if shares else "none was selected"
    return f"Of {wording.count(total)} answer tokens{rows}, {told_shares}.{unweighted}"


def _reference(selection: TokenSelection) -> str:
    """Who the reference is: a stage of the run, a folder, or what scores were read from."""
    name = selection.reference
    if not name:
        return "a model that was trained on other data of the same kind"
    if name.startswith("stage:"):
        return f"the model that stage “{name.removeprefix('stage:')}” trained"
    if name.startswith("scores "):
        return f"the one whose scores are in “{name.removeprefix('scores ')}”"
    return f"the model in “{name}”"


def _rule(selection: TokenSelection) -> str:
    """What was asked for, where the threshold came to lie, and how that compares with zero."""
    told = [_asked(selection)]
    if selection.threshold is not None:
        ties = selection.ties or 0
        exactly = f"; {wording.count(ties)} that lie exactly on it are learnt" if ties else ""
        told.append(f"The threshold came to lie at Q = {signed(selection.threshold)}{exactly}.")
    told += [_against_zero(selection), _forget_rate(selection)]
    return " ".join(part for part in told if part)


def _asked(selection: TokenSelection) -> str:
    what = selection.unit
    means = "" if selection.of_tokens else " Whole answers were selected: the Q of an answer is the mean of its tokens."
    asked = selection.asked
    if asked == "zero":
        text = f"Asked for: all {what} with Q above zero."
    elif asked == "auto":
        text = f"Asked for: as many {what} as have Q above zero, rounded up to the next 5\N{NO-BREAK SPACE}%."
    elif isinstance(asked, int | float):
        text = f"Asked for: the {percent(asked)} of {what} with the highest Q."
    else:
        text = ""
    return text + means


def _against_zero(selection: TokenSelection) -> str:
    """The threshold is a share, not a sign: how many tokens lie on the other side of zero."""
    above, positive = selection.share_above_zero, selection.share_positive
    if above is None:
        return ""
    text = f"Q is above zero for {percent(above)} of all {selection.unit}"
    if positive is None or not selection.of_tokens or abs(positive - above) < 5e-4:
        return text + "."
    if positive > above:
        return f"{text}, so {percent(positive - above)} are learnt although the reference finds them no easier."
    return f"{text}, so {percent(above - positive)} are not learnt although the reference finds them easier."


def _forget_rate(selection: TokenSelection) -> str:
    if not (selection.ignored and selection.negative):
        return ""
    how = {"lowest": "those with the lowest Q", "random": "drawn at random"}.get(selection.forget_by or "")
    which = f" ({how})" if how else ""
    return (
        f"Below the threshold {wording.count(selection.negative)} tokens are negative{which}, the other "
        f"{wording.count(selection.ignored)} are left out of training."
    )


def _facts(selection: TokenSelection, words: Words) -> list[tuple[str, str]]:
    quality = selection.quality
    spread = f"{signed(quality.mean)} ± {wording.number(quality.std)}" if quality.mean is not None else wording.ABSENT
    facts = [
        ("Learnt", wording.count(selection.positive)),
        (words.negative.capitalize(), wording.count(selection.negative)),
        ("Share positive", percent(selection.share_positive)),
        ("Threshold", signed(selection.threshold)),
        ("On the threshold", wording.count(selection.ties)),
        ("Q above zero", percent(selection.share_above_zero)),
        ("Q, mean ± std", spread),
        ("Seed", wording.one_line(selection.seed)),
    ]
    if words.negative != "ignored":
        facts.insert(2, ("Ignored", wording.count(selection.ignored)))
    return facts


def _outside(selection: TokenSelection) -> str:
    """What the histogram does not show."""
    bars, at = selection.histogram, selection.threshold
    if bars is None or not bars.total:
        return ""
    first, last = signed(bars.edges[0]), signed(bars.edges[-1])
    sides = [(bars.below, f"left of the figures (Q below {first})"), (bars.above, f"right of them (Q above {last})")]
    told = [f"{wording.count(n)} {selection.unit} ({percent(n / bars.total)}) lie {where}" for n, where in sides]
    text = f"{wording.join(told)}."
    if at is None or at in bars.edges:
        return text
    if not bars.edges[0] <= at <= bars.edges[-1]:
        return f"{text} So does the threshold, {signed(at)}."
    return f"{text} The bar that the threshold cuts holds {selection.unit} of both sides."
