"""TOFU's truth ratio: does the model still prefer the right answer to wrong ones of the same shape?

    R = P(wrong) / P(right),   P(right) = exp(-loss of the paraphrased right answer)

with losses per token. R is far below 1 for a model that knows, near 1 for one that cannot tell. Of the several wrong
answers P(wrong) is, by name:

- `mean_loss` (default): exp(-mean of their losses), the geometric mean. TOFU's `aggregate_eval_stat.py` and its forget
  quality; LoKU's printed utility is this reading.
- `mean_probability`: the mean of exp(-loss). TOFU's `utils.py`, for utility.

Source: Maini et al., "TOFU: A Task of Fictitious Unlearning for LLMs", eq. 1, and the code at locuslab/tofu.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from forgetting.core.record import Record
from forgetting.metrics.likelihood import usable
from forgetting.metrics.per_example import PerExample

Reading = Literal["mean_loss", "mean_probability"]

NEEDS = "scores of its (paraphrased) answer and of all its wrong answers"


def suffix(reading: Reading) -> str:
    """What the name of a measure of this reading ends in: nothing for the default."""
    return "" if reading == "mean_loss" else f"_{reading}"


def log_truth_ratio(record: Record, reading: Reading = "mean_loss") -> float | None:
    """log R of one record, nats (as a logarithm it cannot overflow); None without usable scores.

    An example without a paraphrased answer is judged on its answer itself.
    """
    right = usable(record.paraphrase or record.score)
    wrong = [score.loss for score in map(usable, record.perturbed) if score]
    if right is None or not wrong or len(wrong) < len(record.perturbed):
        return None
    if reading == "mean_loss":
        log_wrong = -float(np.mean(wrong))
    else:
        log_wrong = float(np.logaddexp.reduce(-np.array(wrong))) - math.log(len(wrong))
    ratio = log_wrong + right.loss
    return None if math.isnan(ratio) else ratio


def truth_ratio_forget(reading: Reading = "mean_loss") -> PerExample:
    """min(R, 1/R) of each record: TOFU's truth ratio of the forget set."""

    def value_of(record: Record) -> float | None:
        log_ratio = log_truth_ratio(record, reading)
        return None if log_ratio is None else math.exp(-abs(log_ratio))

    return PerExample(
        f"truth_ratio_forget{suffix(reading)}",
        value_of,
        "How alike the model finds right and wrong answers: min(R, 1/R), R = p(wrong)/p(right). 1 = cannot tell them "
        "apart, 0 = sure of either.",
        NEEDS,
        unit=True,
    )


def truth_ratio_utility(reading: Reading = "mean_loss") -> PerExample:
    """max(0, 1 - R) of each record: TOFU's truth ratio of sets whose knowledge is to be kept."""

    def value_of(record: Record) -> float | None:
        log_ratio = log_truth_ratio(record, reading)
        return None if log_ratio is None else max(0.0, -math.expm1(min(log_ratio, 0.0)))

    return PerExample(
        f"truth_ratio_utility{suffix(reading)}",
        value_of,
        "How clearly the model prefers the right answer to wrong ones: max(0, 1 - R), R = p(wrong)/p(right). 1 = "
        "clearly, 0 = not at all.",
        NEEDS,
        unit=True,
    )
