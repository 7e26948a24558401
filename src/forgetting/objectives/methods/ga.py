"""Gradient ascent on the forget set, alone and with a retain term."""

from __future__ import annotations

from forgetting.core.example import Role
from forgetting.objectives.losses import nll
from forgetting.objectives.methods.common import Retain, RetainWeight, negative, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight


def _ascent(weight: Weight, average: Average) -> Term:
    return Term(Role.FORGET, nll, weight=negative(weight), average=average)


@register_method(
    "ga",
    paper="arXiv 2210.01504",
    when="A baseline; it ends by destroying the model, so stop it early.",
)
def ga(forget_weight: Weight = 1.0, average: Average = "token") -> Objective:
    """Gradient ascent: −λ·nll(forget). Unbounded: long runs destroy the model (LoKU, eq. 1)."""
    return Objective(_ascent(forget_weight, average))


@register_method(
    "graddiff",
    paper="arXiv 2203.12817",
    when="The plain baseline with data to keep; its ascent has no bound.",
)
def graddiff(
    forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll", average: Average = "token"
) -> Objective:
    """Gradient difference (GD, "GA+GD"): −λ·nll(forget) + σ·retain (F2F, eq. 2; DUET, eq. 3)."""
    return Objective(_ascent(forget_weight, average), *retain_terms(retain, retain_weight))


@register_method(
    "ga_kl",
    paper="arXiv 2401.06121",
    when="As graddiff, where the model should stay as it was on data to keep, not get better.",
)
def ga_kl(
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "kl_to_reference",
    average: Average = "token",
) -> Objective:
    """Gradient ascent with a KL term to the reference: −λ·nll(forget) + σ·KL(retain).

    Forget-to-Focus uses KL(p ‖ p_ref), `kl_to_reference`; the KL baseline of TOFU and LoKU is KL(p_ref ‖ p),
    `kl_from_reference`.
    """
    return Objective(_ascent(forget_weight, average), *retain_terms(retain, retain_weight))
