"""Influence updates: one step, first or second order, to where training without some examples would have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError, RecipeError, nearest
from forgetting.core.example import Role
from forgetting.data.batches import batches_by_length
from forgetting.models.adapters.export import merged
from forgetting.models.adapters.state import adapter_tensors
from forgetting.models.head import causal_model, head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.transforms.registry import Given, Transform, register_transform

Order = Literal["first", "second"]
Losses = Callable[[str], Iterable[Tensor]]
"""The loss of a role in pieces, each a sum over its examples, with a graph."""


@register_transform(
    "influence",
    paper="arXiv 2108.11577",
    when="Few rows, or wrong labels, of what an adapter was trained on, near the end of its training.",
)
def influence(
    order: Order = "second",
    step: float = 1.0,
    damping: float = 0.01,
    iterations: int = 100,
    tolerance: float = 1e-3,
    corrected: bool = False,
) -> Transform:
    """Influence: θ ← θ + τ·(H + d·I)⁻¹·∇L_forget, the Newton step of removing the forget rows (arXiv 2108.11577).

    Losses are Σ −log p of the supervised tokens over N, the supervised tokens of forget and retain data, so L is the
    mean that fine-tuning on both minimises; H is its Hessian and d the weight decay of that training, or larger. With
    `corrected`, those of role `alternate` take their place (labels put right, or refusals): ∇L_forget becomes
    ∇L_forget − ∇L_alternate, and H is that of the loss on forget and retain data as before. The first order leaves H
    out: θ ← θ + τ·∇L_forget (− τ·∇L_alternate). Exact where L is quadratic, and nearly so where it is convex and few
    rows change; a transformer is neither, so it is one step of the right direction at best.

    The active adapters' trained parameters change (`between: stack` before this stage), or all weights if there is no
    adapter. The system is solved by conjugate gradients with products H·v, each one pass over forget and retain data
    with two backward passes; memory for a graph of second derivatives. The released code uses LiSSA or an inverse.

    Args:
        order: `first` or `second`.
        step: τ; 1 is the whole step.
        damping: d, in nats per token; what makes H + d·I positive.
        iterations: of conjugate gradients, at most.
        tolerance: they end at this share of the gradient's length.
        corrected: whether `alternate` data take the place of the forget rows.

    Raises:
        RecipeError: an invalid value.
    """
    if order not in get_args(Order):
        raise RecipeError(f"influence: unknown order '{order}'; {nearest(str(order), get_args(Order))}")
    for key, value, least in (("step", step, 0), ("damping", damping, 0), ("tolerance", tolerance, 0)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            raise RecipeError(f"influence: {key} is {value!r}; it must be 0 or a positive number")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 1:
        raise RecipeError(f"influence: iterations is {iterations!r}; it must be a whole number above 0")
    if not isinstance(corrected, bool):
        raise RecipeError(f"influence: corrected is {corrected!r}; it must be true or false")
    kept = (Role.FORGET, Role.RETAIN)

    def apply(model: PreTrainedModel | PeftModel, given: Given) -> PreTrainedModel:
        with _twice_differentiable(model) as parameters:
            losses, total = _losses(model, given), sum(e.supervised for role in kept for e in given.data[role])
            change = _flat_sum(losses(Role.FORGET), parameters, 1 / total)
            if corrected:
                change -= _flat_sum(losses(Role.ALTERNATE), parameters, 1 / total)
            if order == "second":

                def product(v: Tensor) -> Tensor:
                    pieces = (piece for role in kept for piece in losses(role))
                    return _hessian_times(pieces, parameters, v, 1 / total) + damping * v

                change, left, done = conjugate_gradients(product, change, iterations, tolerance)
                given.say(f"influence: {done} products with the Hessian, {left:.1e} of the gradient's length is left")
            _add(parameters, change, step)
        return merged(model)

    return Transform(apply, roles=(*kept, Role.ALTERNATE) if corrected else kept)


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, float, int]:
    """Solves A·x = `right` for a symmetric positive A, from x = 0.

    Returns:
        x; the length of what is left, as a share of the length of `right`; how many products were taken.

    Raises:
        ModelError: A has a direction of negative curvature.
    """
    x, left = torch.zeros_like(right), right.clone()
    direction, square, whole = left.clone(), left.dot(left), right.dot(right)
    done = 0
    while done < iterations and square > tolerance**2 * whole and square > 0:
        along = product(direction)
        done += 1
        curvature = direction.dot(along)
        if curvature <= 0:
            more = float(-curvature / direction.dot(direction))
            raise ModelError(
                f"influence: the loss bends down along a direction ({more:.2g} nats per token), so there is no minimum "
                f"to step to; raise damping by more than {more:.2g}, or write order: first"
            )
        size = square / curvature
        x.add_(direction * size)
        left.sub_(along * size)
        before, square = square, left.dot(left)
        direction = left + square / before * direction
    return x, float((square / whole) ** 0.5) if whole > 0 else 0.0, done


def _losses(model: nn.Module, given: Given) -> Losses:
    device, head = next(model.parameters()).device, head_of(model)

    def losses(role: str) -> Iterator[Tensor]:
        for one in batches_by_length(given.data[role], role, given.pad_id):
            batch = one.to(device)
            hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
            logp_N = head.logits(hidden_ND).log_softmax(-1).gather(1, batch.targets_N[:, None])[:, 0]
            yield -(logp_N * batch.weights_N).sum()

    return losses


def _flat_sum(pieces: Iterable[Tensor], parameters: Sequence[nn.Parameter], factor: float) -> Tensor:
    """factor · Σ ∇piece, as one vector."""
    return sum((_flat(_gradients(piece, parameters)) for piece in pieces), torch.zeros(())) * factor


def _hessian_times(pieces: Iterable[Tensor], parameters: Sequence[nn.Parameter], v: Tensor, factor: float) -> Tensor:
    """factor · (Σ ∇²piece)·v, as one vector."""
    total = torch.zeros_like(v)
    for piece in pieces:
        slope = _flat(_gradients(piece, parameters, create_graph=True)).dot(v)
        total += _flat(_gradients(slope, parameters))
    return total * factor


def _gradients(of: Tensor, parameters: Sequence[nn.Parameter], create_graph: bool = False) -> tuple[Tensor, ...]:
    """0 for what `of` does not depend on, such as the tower of a model that also sees."""
    return torch.autograd.grad(of, parameters, create_graph=create_graph, allow_unused=True, materialize_grads=True)


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


@torch.no_grad()
def _add(parameters: Sequence[nn.Parameter], change: Tensor, factor: float) -> None:
    pieces = change.split([p.numel() for p in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.add_(piece.view_as(parameter).to(parameter.dtype), alpha=factor)


@contextmanager
def _twice_differentiable(model: PreTrainedModel | PeftModel) -> Iterator[list[nn.Parameter]]:
    """The parameters that change, with attention that has second derivatives; all is as before afterwards."""
    inner = causal_model(model)
    attention, wanted = inner.config._attn_implementation, {p: p.requires_grad for p in model.parameters()}
    chosen = _changing(model, wanted)
    try:
        inner.set_attn_implementation("eager")
        for parameter in wanted:
            parameter.requires_grad_(any(parameter is one for one in chosen))
        with in_evaluation_mode(model), torch.enable_grad():
            yield chosen
    finally:
        inner.set_attn_implementation(attention)
        for parameter, trains in wanted.items():
            parameter.requires_grad_(trains)


def _changing(model: nn.Module, wanted: Mapping[nn.Parameter, bool]) -> list[nn.Parameter]:
    if not isinstance(model, PeftModel):
        return list(wanted)
    own = [p for p in adapter_tensors(model).values() if isinstance(p, nn.Parameter)]
    return [p for p in own if wanted[p]] or own
