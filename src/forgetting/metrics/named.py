"""The package's own metrics, registered by the names that a recipe asks for them by."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from forgetting.core.measure import Measure
from forgetting.metrics.dialogue import dialogue_f1
from forgetting.metrics.extraction import (
    Reading,
    exact_memorization,
    extraction_likelihood,
    extraction_strength,
    sequence_tokens,
)
from forgetting.metrics.likelihood import (
    memorization_accuracy,
    option_probability,
    perplexity,
    probability,
    teacher_forced_exact_match,
)
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import PerExample
from forgetting.metrics.refusal import KNOWN, refusal
from forgetting.metrics.registry import Make, register_metric
from forgetting.metrics.repetition import answer_words, copies_question, loops
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall
from forgetting.metrics.truth_ratio import Reading as RatioReading
from forgetting.metrics.truth_ratio import truth_ratio_forget, truth_ratio_utility

_PLAIN = (
    answer_words,
    copies_question,
    dialogue_f1,
    exact_match,
    exact_memorization,
    extraction_strength,
    loops,
    memorization_accuracy,
    probability,
    rouge_l_f1,
    rouge_l_recall,
    sequence_tokens,
    teacher_forced_exact_match,
)
"""Numbers of one record without parameters."""


def _always(what: PerExample) -> Make:
    def build() -> PerExample:
        return what

    build.__doc__ = what.meaning
    return build


for _what in _PLAIN:
    register_metric(_what.name)(_always(_what))


@register_metric("option_probability")
def _option_probability() -> PerExample:
    """The right answer's share of the probability among the options, named `probability`."""
    return option_probability


@register_metric("extraction_likelihood")
def _extraction_likelihood(n: Annotated[int, Field(gt=0)] = 10, reading: Reading = "released") -> PerExample:
    """EL_n of verbatim passages: how much of them the model writes by itself (LoKU, eqs. 4-5)."""
    return extraction_likelihood(n, reading)


@register_metric("truth_ratio_forget")
def _truth_ratio_forget(reading: RatioReading = "mean_loss") -> PerExample:
    """Wrong answers' probability over the right one's, for what is to be forgotten (TOFU)."""
    return truth_ratio_forget(reading)


@register_metric("truth_ratio_utility")
def _truth_ratio_utility(reading: RatioReading = "mean_loss") -> PerExample:
    """max(0, 1 - wrong answers' probability over the right one's), for what is to be kept (TOFU)."""
    return truth_ratio_utility(reading)


@register_metric("refusal")
def _refusal(texts: list[str] = list(KNOWN)) -> PerExample:  # noqa: B006
    """Whether an answer begins with a refusal; `texts` are the refusals to look for."""
    return refusal(texts)


@register_metric("perplexity")
def _perplexity() -> Metric:
    """exp of the mean loss per answer token, in each split."""

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        return list(perplexity(list(records), "down")(records, oracle))

    return metric
