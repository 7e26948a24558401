"""Jensen–Shannon unlearning."""

from __future__ import annotations

from typing import Literal

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Role
from forgetting.objectives.losses import js_to_target, js_to_uniform, of_partner
from forgetting.objectives.methods.common import Retain, RetainWeight, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight

Target = Literal["refusal", "uniform"]


@register_method(
    "jensun",
    paper="arXiv 2509.02820",
    when="Both losses should be bounded, and a refusal that the model could give exists.",
)
def jensun(
    target: Target = "refusal",
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "js_to_reference",
) -> Objective:
    """JensUn: λ·JS(p ‖ onehot(refusal token)) for forget questions, + σ·JS(p ‖ p_ref) on retain (arXiv 2509.02820).

    Every forget question has an alternate answer, such as a refusal, and its tokens are the targets: the mean over an
    answer's tokens, then over answers. The forget answers themselves are forwarded with them and not used. `uniform`
    instead pulls p on the forget answers' own tokens to 1/V, as a mean over tokens. Both divergences are at most log 2.

    The gradient with respect to a target's log p is ½·p·log(p/(1 + p)): a refusal that the model considers nearly
    impossible is not learned in any time. Give alternates that it could say, or use `uniform`.

    The weights are the released code's. That code puts two tokens of probability 1 each at every position of the forget
    text, prompt and padding included, which is not a distribution, and averages the retain term over all positions.

    Raises:
        RecipeError: unknown target.
    """
    weight = parse_weight(forget_weight)
    terms = {
        "refusal": Term(Role.FORGET, of_partner(js_to_target), weight, average="sequence", partner=Role.ALTERNATE),
        "uniform": Term(Role.FORGET, js_to_uniform, weight),
    }
    if target not in terms:
        raise RecipeError(f"jensun: unknown target '{target}'; {nearest(str(target), terms)}")
    return Objective(terms[target], *retain_terms(retain, retain_weight))
