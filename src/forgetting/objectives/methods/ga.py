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


@register_method("ga")
def ga(forget_weight: Weight = 1.0, average: Average = "token") -> Objective:
    """Gradient ascent: −λ·nll(forget). Unbounded: long runs destroy the model (LoKU, eq. 1)."""
    return Objective(_ascent(forget_weight, average))


@register_method("graddiff")
def graddiff(
    forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll", average: Average = "token"
) -> Objective:
    """Gradient difference (GD, "GA+GD"): −λ·nll(forget) + σ·retain (F2F, eq. 2; DUET, eq. 3)."""
    return Objective(_ascent(forget_weight, average), *retain_terms(retain, retain_weight))


@register_method("ga_kl")
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
