"""The retain half that most unlearning methods share."""

from __future__ import annotations

from typing import Literal

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Role
from forgetting.objectives.losses import Loss, kl_from_reference, kl_to_reference, nll
from forgetting.objectives.objective import Term
from forgetting.objectives.schedule import parse_weight

Retain = Literal["nll", "kl_from_reference", "kl_to_reference", "none"]
_LOSSES: dict[str, Loss | None] = {
    "nll": nll,
    "kl_from_reference": kl_from_reference,
    "kl_to_reference": kl_to_reference,
    "none": None,
}


def retain_terms(retain: Retain, weight: object) -> list[Term]:
    """The retain term by the name of its loss; `none` gives no term."""
    if retain not in _LOSSES:
        raise RecipeError(f"unknown retain loss '{retain}'; {nearest(str(retain), _LOSSES)}")
    loss = _LOSSES[retain]
    return [] if loss is None else [Term(Role.RETAIN, loss, weight=parse_weight(weight))]


def negative(weight: object) -> object:
    """A forget weight as the sign of ascent wants it: −w, for a number or a schedule."""
    parsed = parse_weight(weight)
    return (lambda step, total: -parsed(step, total)) if callable(parsed) else -parsed
