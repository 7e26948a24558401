"""Representation misdirection: steers hidden states of the forget set to a random vector."""

from __future__ import annotations

from typing import Annotated, Literal

from forgetting.core.batch import Positions
from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.hidden_losses import kept_states, steered
from forgetting.objectives.methods.common import RetainWeight, check_positive, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight

RetainStates = Literal["states", "nll", "kl_from_reference", "kl_to_reference", "js_to_reference", "none"]


@register_method(
    "rmu",
    paper="arXiv 2403.03218",
    when="A whole subject in plain text, such as hazardous knowledge, of a model of several billion weights.",
)
def rmu(
    layer: int = 7,
    coefficient: Annotated[float, Tunable(1.0, 100.0, log=True)] = 20.0,
    seed: int = 0,
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: RetainStates = "states",
    positions: Positions = "supervised",
    average: Average = "token",
) -> Objective:
    """RMU: λ·mean‖h − c·u‖²/D on forget, + σ·mean‖h − h_ref‖²/D on retain (arXiv 2403.03218, section 4).

    h is the output of decoder block `layer` (from 0), h_ref the reference's, u a random vector of unit norm fixed by
    `seed`, c the `coefficient`. Only weights up to that block are trained; the paper trains the down-projections of
    three blocks, the last of them `layer` (here the adapter or full tuning decides). The forward pass still runs to
    the end. `retain` may also be a loss over the vocabulary.

    `positions: supervised` reads h where a token of the answer is predicted; `all`, the paper's on plain text, reads
    every token, prompt included. Padding is excluded: the released code averages over it, and open-unlearning divides
    a row's sum by every row's length, which mixes rows of different length. Squares are averaged over D, as in both.

    c 20 and both weights 1 are open-unlearning's; c should exceed the usual norm of h. Layer 7 is the paper's for a
    7B model.

    Raises:
        RecipeError: layer or seed is not a whole number from 0, or coefficient is not above 0.
    """
    check_positive("rmu", coefficient=coefficient)
    for key, value in (("layer", layer), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RecipeError(f"rmu: {key} is {value!r}; it must be a whole number from 0")
    loss, weight = steered(layer, coefficient, seed), parse_weight(forget_weight)
    forget = Term(Role.FORGET, loss, weight, average, positions=positions)
    if retain != "states":
        return Objective(forget, *retain_terms(retain, retain_weight))
    kept = Term(Role.RETAIN, kept_states(layer), parse_weight(retain_weight), average, positions=positions)
    return Objective(forget, kept)
