"""PGU and GU: the forget gradient without what would change the outputs of retained texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules.input_bases import (
    input_bases,
    is_linear,
    is_transposed,
    passes,
    trained_layers,
    width,
)
from forgetting.objectives.gradient_rules.registry import register_gradient_rule
from forgetting.objectives.gradient_rules.rule import Before, Gradient, Group, Preparation, forget_and_rest


class Subspace:
    """See `subspace`."""

    def __init__(self, share: float, examples: int, add_retain: bool) -> None:
        self.share, self.examples, self.add_retain = share, examples, add_retain
        self._rest: Group = ()
        self._bases: tuple[Tensor | None, ...] = ()
        self._transposed: list[int] = []

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The forget roles, and the others."""
        forget, self._rest = forget_and_rest("subspace", groups)
        return forget, self._rest

    def prepare(self, before: Before) -> None:
        """Computes the bases of all trained matrices from the inputs of the others' data."""
        bases = dict(input_bases(before, self._rest, share=self.share, examples=self.examples))
        self._bases = tuple(bases.get(index) for index in range(len(before.parameters)))
        turned = {id(m.weight) for m in before.model.modules() if is_linear(m) and is_transposed(m)}
        self._transposed = [index for index, p in enumerate(before.parameters) if id(p) in turned]

    def foretold(self, model: nn.Module) -> Preparation:
        """The others' examples, once for every GiB of covariances, and a basis of each trained matrix."""
        head = getattr(model, "get_output_embeddings", lambda: None)()  # no forward of the body reaches it
        every = trained_layers(model, [p for p in model.parameters() if p.requires_grad])
        layers = [(index, layer) for index, layer in every if layer is not head]
        matrices = [(width(layer), next(layer.parameters()).element_size()) for _, layer in layers]
        return Preparation(dict.fromkeys(self._rest, self.examples), passes(layers), matrices)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """The projected forget gradient, and the others' if asked for."""
        forget, rest = gradients
        forget = forget.changed(self._projected)
        return forget.add_(rest) if self.add_retain else forget

    def _projected(self, index: int, gradient: Tensor) -> Tensor:
        basis = self._bases[index]
        if basis is None:
            return torch.zeros_like(gradient)
        if index in self._transposed:
            return gradient - basis @ (basis.T @ gradient)
        return gradient - (gradient @ basis) @ basis.T

    def state_dict(self) -> Mapping[str, Any]:
        """The bases, and which of the matrices are `[in, out]`."""
        return {"bases": self._bases, "transposed": self._transposed} if self._bases else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts them back."""
        self._bases, self._transposed = state.get("bases", ()), state.get("transposed", [])


@register_gradient_rule(
    "subspace",
    paper="arXiv 2312.04095, 2511.17100",
    when="What is kept should stay as it is, and not be trained on; full tuning, with memory for the bases.",
)
def subspace(share: float = 0.95, examples: int = 256, add_retain: bool = True) -> Subspace:
    """PGU: G ← G − G·U·Uᵀ per matrix, U the main directions of its inputs on retained texts (arXiv 2312.04095).

    G is the forget terms' gradient `[out, in]`. U `[in, k]` are the first eigenvectors of Σ x xᵀ over the tokens of the
    other roles' data, whose singular values add up to `share`; they are computed once, before the first step. A change
    of W without a component along U leaves W·x as it is for every x in their span, so retained texts keep the outputs
    of the matrix. A gradient of retained texts lies in the span of their inputs, so this also removes the span of
    retain gradients (GU, arXiv 2511.17100), which is smaller. Parameters without such inputs (norms, biases,
    embeddings, the head) are not moved by the forget terms, as in PGU. PGU subtracts the forget set's covariance from
    that of all data; here the retain set is read.

    Made for full tuning: of a LoRA's B, whose inputs have few directions, hardly one remains.

    Extra cost over a plain step: one pass over the examples before the first step (more if the covariances take over
    1 GiB), and memory, and room in every checkpoint, for k numbers per input of each matrix.

    Args:
        share: of the sum of singular values, 0 to 1; 0.95 in PGU. Lower leaves the forget gradient more.
        examples: of each of the other roles, at most.
        add_retain: whether the step is G + the others' gradient or G alone (as in the paper).

    Raises:
        RecipeError: an invalid value.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise RecipeError(f"gradients: subspace: share is {share!r}; it must be a number from 0 to 1")
    if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
        raise RecipeError(f"gradients: subspace: examples is {examples!r}; it must be a whole number above 0")
    if not isinstance(add_retain, bool):
        raise RecipeError(f"gradients: subspace: add_retain is {add_retain!r}; it must be true or false")
    return Subspace(float(share), examples, add_retain)
