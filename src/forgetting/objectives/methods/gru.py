"""Gradient rectified unlearning."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.errors import RecipeError
from forgetting.core.tunable import Tunable
from forgetting.objectives.gradient_rules import rectified
from forgetting.objectives.methods.common import Retain
from forgetting.objectives.methods.ga import graddiff
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective
from forgetting.objectives.schedule import Weight


@register_method(
    "gru",
    paper="arXiv 2503.09117",
    when="Forgetting must not raise the retain loss, and training on data to keep is not wanted.",
)
def gru(
    gamma: Annotated[float, Tunable(0.5, 0.95)] = 0.8,
    add_retain: bool = False,
    forget_weight: Weight = 1.0,
    retain_weight: Weight = 1.0,
    retain: Retain = "nll",
    average: Average = "token",
) -> Objective:
    """GRU: gradient ascent without the part that opposes a mean of the retain gradients (arXiv 2503.09117).

    The terms are GradDiff's, since the rule needs the gradient of a retain term. As in the paper, the step is the
    rectified ascent alone, so the retain loss is only kept from rising; `add_retain` trains on it as well. Other
    methods are rectified by a stage's key `gradients: rectified`. See `rectified` for the rule and its cost.

    γ is the share of the new gradient in the mean; the paper tries 0.8 to 0.95.

    Raises:
        RecipeError: no retain loss.
    """
    if retain == "none":
        raise RecipeError("gru: retain is 'none'; the rule needs a retain loss, such as nll")
    objective = graddiff(forget_weight, retain_weight, retain, average)
    return objective.with_gradients(rectified(gamma, add_retain))
