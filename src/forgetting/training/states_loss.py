"""The terms over hidden states of one micro-batch.

Their gradients with respect to the states are formed at once, as those of the vocabulary head are, and handed on in the
backward pass. A term of weight 0 hands on exact zeros: every process then goes through the same backward passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from forgetting.core.batch import Batch, Positions
from forgetting.core.errors import RecipeError
from forgetting.core.signals import Signals
from forgetting.objectives.objective import Objective, Term

_Hidden = Mapping[tuple[int, Positions], Tensor]


def states_loss(
    batch: Batch,
    objective: Objective,
    states: Mapping[int, Tensor],
    reference: Mapping[str, _Hidden],
    *,
    weights: Sequence[float],
    denominators: Sequence[float],
) -> tuple[Tensor, dict[int, Tensor]]:
    """The contribution of terms over hidden states to the step's loss, and each one's unweighted share by its index.

    Args:
        states: outputs of decoder blocks by layer, `[B*T, D]`.
        reference: the reference's, by role, layer and positions, `[N, D]`.

    Raises:
        RecipeError: no trained weight affects a layer, so its term has no gradient.
    """
    for layer, value in states.items():
        if torch.is_grad_enabled() and not value.requires_grad:
            raise RecipeError(f"layer {layer}: no trained weight comes before its output; name a higher layer")
    leaves = {layer: value.detach().requires_grad_() for layer, value in states.items()}
    total = torch.zeros((), device=batch.weights_N.device)
    shares: dict[int, Tensor] = {}
    with torch.enable_grad():
        for index, term in enumerate(objective.terms):
            if term.loss.over_hidden_states and term.role in batch.roles:
                share = objective.share(index, _signals(batch, term, leaves, reference), denominators[index])
                shares[index] = share.detach()
                if weights[index] != 0:
                    total = total + weights[index] * share
    slopes: dict[int, Tensor | None] = dict.fromkeys(leaves)
    if total.requires_grad:
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        slopes = dict(zip(leaves, found, strict=True))
    whole = [torch.zeros_like(leaves[n]) if slope is None else slope for n, slope in slopes.items()]
    return _HandedOn.apply(total.detach(), whole, *states.values()), shares


def _signals(batch: Batch, term: Term, leaves: Mapping[int, Tensor], reference: Mapping[str, _Hidden]) -> Signals:
    """The term's signals: its own role's, with the other half of its pairs as the partner."""

    def of_role(role: str, partner: Signals | None) -> Signals:
        places_N, _ = batch.places(role, term.positions)
        weights_N, sequences_N = term.weights_of(batch, role)
        span = batch.roles[role].sequences
        theirs = reference.get(role, {})
        return Signals(
            {},
            weights_N,
            sequences_N,
            span.stop - span.start,
            partner=partner,
            hidden={n: _full(leaves[n].index_select(0, places_N)) for n in term.loss.layers},
            hidden_of_reference={n: _full(theirs[n, term.positions]) for n in term.loss.layers_of_reference},
        )

    partner = None if term.partner is None else of_role(term.partner, None)
    return of_role(term.role, partner)


def _full(states_ND: Tensor) -> Tensor:
    return states_ND if states_ND.dtype == torch.float64 else states_ND.float()


class _HandedOn(torch.autograd.Function):
    """A value with gradients that are already known."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, value: Tensor, slopes: Sequence[Tensor], *states: Tensor
    ) -> Tensor:
        ctx.slopes = slopes  # type: ignore[attr-defined]
        return value.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Any:
        return None, None, *(slope * grads[0].to(slope.dtype) for slope in ctx.slopes)  # type: ignore[attr-defined]
