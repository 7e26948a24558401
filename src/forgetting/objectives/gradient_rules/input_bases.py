"""The main directions of the inputs of matrices, from covariances that are summed batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from forgetting.objectives.gradient_rules.rule import Before

BUDGET = 2**30
"""Bytes of the covariances that are summed at once; more matrices take more passes over the data."""


def input_bases(
    before: Before, roles: Sequence[str], *, share: float, examples: int, budget: int = BUDGET
) -> Iterator[tuple[int, Tensor]]:
    """By index of a trained matrix, the orthonormal main directions of its inputs, `[in, k]`.

    The covariance Σ x xᵀ is that of all tokens but padding, of the first `examples` examples of each role. A parameter
    that is not the weight of a linear layer in the model's body has no inputs and is left out, and so is one whose
    layer does not see all tokens of a batch in their places, such as an expert's.

    Args:
        share: see `main_directions`.
        budget: bytes of covariances that are held at once; at least one matrix's.
    """
    for group in _groups(trained_layers(before.model, before.parameters), budget):
        for index, covariance_II in _covariances(before, group, roles, examples).items():
            yield index, main_directions(covariance_II, share).to(before.parameters[index])


def trained_layers(model: nn.Module, parameters: Sequence[nn.Parameter]) -> list[tuple[int, nn.Module]]:
    """The linear layers whose weights are among `parameters`, by their index there."""
    layers = {id(m.weight): m for m in model.modules() if is_linear(m)}
    return [(index, layers[id(p)]) for index, p in enumerate(parameters) if id(p) in layers]


def passes(layers: Sequence[tuple[int, nn.Module]], budget: int = BUDGET) -> int:
    """How many passes over the data the covariances of these layers take."""
    return sum(1 for _ in _groups(layers, budget))


def main_directions(covariance_II: Tensor, share: float) -> Tensor:
    """The leading eigenvectors `[in, k]` whose singular values s add up to at most `share` of their sum.

    s is the square root of an eigenvalue, and not squared, so k is larger than by a share of the variance (as in PGU's
    code). k is below `in`, so that something is left.
    """
    exact_II = covariance_II.cpu().double() if covariance_II.device.type == "mps" else covariance_II.double()
    squares_I, vectors_II = torch.linalg.eigh(exact_II)
    s_I = squares_I.clamp_min(0).sqrt().flip(0)
    count = int((s_I.cumsum(0) <= share * s_I.sum()).sum()) if s_I.sum() > 0 else 0
    return vectors_II.flip(1)[:, : min(count, len(s_I) - 1)].contiguous()


def is_linear(module: nn.Module) -> bool:
    """Whether a module multiplies its input with its weight: `[out, in]`, or `[in, out]` if it is transposed."""
    return isinstance(module, nn.Linear) or is_transposed(module)


def is_transposed(module: nn.Module) -> bool:
    """Whether its weight is `[in, out]`, as GPT-2's."""
    return type(module).__name__ == "Conv1D"


def width(layer: nn.Module) -> int:
    """The size of a linear layer's input."""
    return int(layer.weight.shape[0 if is_transposed(layer) else 1])  # type: ignore[index]


def _groups(layers: Sequence[tuple[int, nn.Module]], budget: int) -> Iterator[list[tuple[int, nn.Module]]]:
    group: list[tuple[int, nn.Module]] = []
    for index, layer in layers:
        if group and sum(4 * width(m) ** 2 for _, m in (*group, (index, layer))) > budget:
            yield group
            group = []
        group.append((index, layer))
    if group:
        yield group


def _covariances(
    before: Before, layers: Sequence[tuple[int, nn.Module]], roles: Sequence[str], examples: int
) -> dict[int, Tensor]:
    sums: dict[int, Tensor] = {}
    mask_BT = torch.empty(0)

    def add(index: int, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs[0].shape[:-1] == mask_BT.shape:
            x_NI = inputs[0][mask_BT]
            x_NI = x_NI if x_NI.dtype == torch.float64 else x_NI.float()
            sums[index] = sums[index].addmm_(x_NI.T, x_NI) if index in sums else x_NI.T @ x_NI

    with ExitStack() as hooks:
        for index, layer in layers:
            hooks.callback(layer.register_forward_pre_hook(partial(add, index)).remove)
        for role in roles:
            for batch in before.batches(role, examples):
                mask_BT = batch.attention_mask_BT.bool()
                before.forward(batch)
    return sums
