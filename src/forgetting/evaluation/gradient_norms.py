"""The norm of the gradient of each answer's loss: small where a model is at rest with what it was trained on.

GradNorm as a membership score (Wang et al. 2024, https://arxiv.org/abs/2402.17012; in open-unlearning since 2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from forgetting.core.evaluator import Progress
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.metrics.membership.scores import Reading
from forgetting.models.head import causal_model
from forgetting.models.modes import in_evaluation_mode
from forgetting.training.fisher import summed_loss


def gradient_norms(
    model: nn.Module,
    rows: Sequence[Encoded],
    *,
    pad_id: int,
    reading: Reading = "whole",
    order: float = 2.0,
    progress: Progress = lambda done, total, note: None,
) -> list[float | None]:
    """‖∂L/∂θ‖ of each row, L the mean negative log-likelihood of its supervised tokens in nats, θ all weights.

    θ leaves out weights that are no floating numbers (quantised) and those of adapters: with adapters active the
    gradient is that of the effective weights. Each row takes a pass forward and back; the gradient of a weight is freed
    as soon as its norm is known. Weights, `.grad` and mode stay as they are.

    Args:
        reading: `whole`: the norm of all entries together. `open_unlearning`: the mean over the weights of each one's
            own norm, of the loss without the row's last supervised token.
        order: of the norm; inf: the largest entry.

    Returns:
        One for each row; None where no token is left.
    """
    counted = [_without_last(row) for row in rows] if reading == "open_unlearning" else rows
    found: list[float | None] = []
    with torch.enable_grad(), in_evaluation_mode(model), _each_norm(model, order) as norms:
        for number, row in enumerate(counted, 1):
            found.append(_norm(model, row, pad_id, norms, reading, order) if row.supervised else None)
            progress(number, len(rows), "gradients")
    return found


def _norm(
    model: nn.Module, row: Encoded, pad_id: int, norms: dict[int, float], reading: Reading, order: float
) -> float:
    norms.clear()
    batch = collate({"": [(0, row)]}, pad_id=pad_id).to(next(model.parameters()).device)
    (summed_loss(model, batch) / row.supervised).backward()
    each = torch.tensor(list(norms.values()), dtype=torch.float64)
    return float(each.mean() if reading == "open_unlearning" else torch.linalg.vector_norm(each, order))


@contextmanager
def _each_norm(model: nn.Module, order: float) -> Iterator[dict[int, float]]:
    """The norm of each weight's gradient after a backward pass, by a number of the weight; nothing else is kept."""
    norms: dict[int, float] = {}
    plain = causal_model(model)
    layers = [module for module in plain.modules() if isinstance(module, BaseTunerLayer)]
    parts = [getattr(layer, kind) for layer in layers for kind in layer.adapter_layer_names]
    adapters = {id(p) for part in parts for p in (part.parameters() if isinstance(part, nn.Module) else ())}
    every = list(plain.parameters())
    weights = [p for p in every if p.is_floating_point() and id(p) not in adapters]
    before = [(p, p.requires_grad, p.grad) for p in every]

    def note(number: int, weight: Tensor) -> None:
        assert weight.grad is not None
        norms[number] = float(torch.linalg.vector_norm(weight.grad, order, dtype=torch.float64))
        weight.grad = None

    handles = []
    try:
        for p in every:
            p.requires_grad_(False)
        for number, p in enumerate(weights):
            p.requires_grad_(True)
            p.grad = None
            handles.append(p.register_post_accumulate_grad_hook(lambda weight, number=number: note(number, weight)))
        yield norms
    finally:
        for handle in handles:
            handle.remove()
        for p, trainable, gradient in before:
            p.requires_grad_(trainable)
            p.grad = gradient


def _without_last(row: Encoded) -> Encoded:
    """The row whose last supervised token is supervised no more."""
    last = max((place for place, weight in enumerate(row.weights) if weight), default=None)
    weights = tuple(0.0 if place == last else weight for place, weight in enumerate(row.weights))
    return replace(row, weights=weights)
