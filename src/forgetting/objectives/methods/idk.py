"""Teaches the model to say that it does not know."""

from __future__ import annotations

from forgetting.core.example import Role
from forgetting.objectives.losses import nll, of_partner
from forgetting.objectives.methods.common import Retain, RetainWeight, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "idk",
    paper="arXiv 2401.06121",
    when="Questions that should be refused, by plain fine-tuning; the knowledge may stay below the refusal.",
)
def idk(forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll") -> Objective:
    """IDK: λ·mean nll(alternate) for forget questions, + σ·retain (arXiv 2401.06121, "IDK"; R-Tuning, 2311.09677).

    Every forget question has an alternate answer, such as a refusal, and that is fine-tuned on: the mean over an
    answer's tokens, then over answers. Without data for `alternate`, the package's refusals are drawn. The forget
    answers themselves are forwarded with them and not used. With questions that the model gets wrong as forget data and
    those that it gets right as retain data (`forget build known`), it is R-Tuning's refusal of unknown questions.
    """
    refused = Term(
        Role.FORGET, of_partner(nll), parse_weight(forget_weight), average="sequence", partner=Role.ALTERNATE
    )
    return Objective(refused, *retain_terms(retain, retain_weight))
