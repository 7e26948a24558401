"""Shared by most unlearning methods: the retain term, and checks of parameters."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import Loss, js_to_reference, kl_from_reference, kl_to_reference, nll
from forgetting.objectives.objective import Term
from forgetting.objectives.schedule import Weight, parse_weight

Retain = Literal["nll", "kl_from_reference", "kl_to_reference", "js_to_reference", "none"]
RetainWeight = Annotated[Weight, Tunable(0.1, 10.0, log=True)]
"""The weight of the retain term; that of the forget term is 1 while it is sought, since only their ratio counts."""
_LOSSES: dict[str, Loss | None] = {
    "nll": nll,
    "kl_from_reference": kl_from_reference,
    "kl_to_reference": kl_to_reference,
    "js_to_reference": js_to_reference,
    "none": None,
}


def retain_terms(retain: Retain, weight: object) -> list[Term]:
    """The retain term by the name of its loss; no term for `none`."""
    if retain not in _LOSSES:
        raise RecipeError(f"unknown retain loss '{retain}'; {nearest(str(retain), _LOSSES)}")
    loss = _LOSSES[retain]
    return [] if loss is None else [Term(Role.RETAIN, loss, weight=parse_weight(weight))]


def negative(weight: object) -> Weight:
    """A forget weight with the sign of ascent: −w, for a number or a schedule."""
    parsed = parse_weight(weight)
    return (lambda step, total: -parsed(step, total)) if callable(parsed) else -parsed


def check_positive(method: str, **values: object) -> None:
    """Refuses parameters that are not finite and above 0.

    Raises:
        RecipeError: names the method and the key.
    """
    for key, value in values.items():
        if not _is_number(value) or value <= 0:  # type: ignore[operator]
            raise RecipeError(f"{method}: {key} is {value!r}; it must be a positive number")


def check_not_negative(method: str, **values: object) -> None:
    """Refuses parameters that are not finite and at least 0.

    Raises:
        RecipeError: names the method and the key.
    """
    for key, value in values.items():
        if not _is_number(value) or value < 0:  # type: ignore[operator]
            raise RecipeError(f"{method}: {key} is {value!r}; it must be 0 or a positive number")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
