"""Whether the models know what they know: right answers, refusals, and how sure they are of their answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, means, read, statistics
from forgetting.analysis.registry import register_analysis
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.evaluation.answers import answer
from forgetting.metrics.likelihood import usable
from forgetting.metrics.refusal import refusal
from forgetting.metrics.sureness import SURE, UNSURE, Answered, sureness
from forgetting.metrics.text import exact_match
from forgetting.models.view import View

_ENDING = 12
"""Tokens beside the longest right answer: room for what a model was taught to end its answers with."""


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Both models write an answer to every question, a pass for each token, and read it twice."""

    def of(rows: Rows) -> Cost:
        written = rows.answered + _ENDING * rows.count
        writing = Work(forward=2 * known.shape.entries * written, logits=written * known.shape.vocabulary)
        found = read(known.shape, rows, times=2 * 3)
        return found.then(Cost(writing * 2 + means(rows, 2 * 3) + statistics(rows, 2)))

    return by_role(known, of)


@register_analysis("sureness", cost=_cost, oracle=False)
def sureness_of() -> Analysis:
    """Right answers, refusals and the average precision of sureness, at the start and after (R-Tuning, 2311.09677).

    Each question is answered greedily; "I am sure." or "I am unsure." at the end is not part of the answer. Behind the
    model's own answer, p(sure) is p("I am sure.") over the sum of that and p("I am unsure."); the score of an answer is
    (p(answer)^(1/tokens) + p(sure)) / 2. Of a model that was not taught to say either, p(sure) means little. Texts
    without a question are left out.
    """

    def analysis(compared: Compared) -> Findings:
        found = []
        for role, examples in compared.examples.items():
            asked = [replace(e, paraphrased=None, perturbed=()) for e in examples if e.form == "qa"]
            if asked:
                points = (("start", compared.start), ("after", compared.after))
                found += [m for point, view in points for m in sureness(role, point, _answered(compared, view, asked))]
        return Findings(measures=tuple(found))

    return analysis


def _answered(compared: Compared, view: View, asked: Sequence[Example]) -> list[Answered]:
    longest = max(len(compared.tokenizer(e.response, add_special_tokens=False)["input_ids"]) for e in asked)
    with view.active() as model:

        def take(examples: Sequence[Example], tokens: int) -> list[Record]:
            return answer(
                model,
                compared.tokenizer,
                examples,
                split="",
                formatting=compared.formatting,
                max_new_tokens=tokens,
                voice=compared.voice,
            )

        written = [replace(r, generation=_own(r.generation or "")) for r in take(asked, longest + _ENDING)]
        said = [(e, r.generation) for e, r in zip(asked, written, strict=True) if r.generation]
        own = take([replace(e, response=text) for e, text in said], 0) if said else []
        both = take([_ended(e, text) for e, text in said], 0) if said else []
    scored = {e.id: _scored(one, ended) for (e, _), one, ended in zip(said, own, both, strict=True)}
    return [_judged(r, *scored.get(r.id, (None, None))) for r in written]


def _own(generation: str) -> str:
    """An answer without what it says of being sure."""
    text = generation.strip()
    for ending in (UNSURE, SURE):
        text = text.removesuffix(ending).removesuffix(ending.rstrip("."))
    return text.strip()


def _ended(example: Example, said: str) -> Example:
    plain = said if said[-1:] in ".!?" else f"{said}."
    return replace(example, response=f"{plain} {SURE}", perturbed=(f"{plain} {UNSURE}",))


def _scored(said: Record, ended: Record) -> tuple[float | None, float | None]:
    """Confidence in an answer, and how sure the model is behind it; None where a likelihood is not finite."""
    scores = [usable(s) for s in (said.score, ended.score, *ended.perturbed)]
    if len(scores) != 3 or any(s is None for s in scores):
        return None, None
    own, sure, unsure = (s for s in scores if s is not None)
    return own.probability, _share(sure.logp - unsure.logp)


def _judged(written: Record, confidence: float | None, sure: float | None) -> Answered:
    return Answered(
        cluster=written.cluster,
        right=exact_match.value_of(written) == 1,
        refused=refusal().value_of(written) == 1,
        confidence=confidence,
        sure=sure,
    )


def _share(log_odds: float) -> float:
    """1 / (1 + exp(−x)), for any x."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))
