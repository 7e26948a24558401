"""What an edit reads of a model at the last token of each question: states, inputs of matrices, what follows.

Letters: n questions, D hidden size, F inputs of a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.core.example import Role
from forgetting.data.batches import batches_by_length, collate
from forgetting.data.encode import Encoded
from forgetting.models.adapters.targets import linear_layers, part_of
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.hidden_states import decoder_blocks, states_kept
from forgetting.models.transforms.registry import Given

_ROWS = 64
"""Questions in one forward."""


def last_matrix(model: PreTrainedModel, layer: int) -> nn.Module:
    """The last matrix of a block's feed-forward, which writes to the residual stream.

    Raises:
        ModelError: none is found, as where experts are fused.
    """
    block = decoder_blocks(model, [layer])[layer]
    inside = {id(module) for module in block.modules()}
    found = [m for name, m in linear_layers(model).items() if id(m) in inside and part_of(name) == "ffn"]
    if not found:
        raise ModelError(f"edit: block {layer} of a {model.config.model_type} model has no feed-forward matrix to edit")
    return found[-1]


class Places:
    """The last token of each forget question in a model, up to one block."""

    def __init__(self, model: PreTrainedModel, given: Given, layer: int) -> None:
        self.model, self.given, self.layer = model, given, layer
        self.rows = [_asked(row) for row in given.data[Role.FORGET]]
        self.device = next(model.parameters()).device

    def _batches(self) -> Iterator[tuple[slice, Any]]:
        for begin in range(0, len(self.rows), _ROWS):
            some = self.rows[begin : begin + _ROWS]
            batch = collate({"": list(enumerate(some))}, pad_id=self.given.pad_id).to(self.device)
            yield slice(begin, begin + len(some)), batch

    def _last(self, batch: Any) -> Tensor:
        """The final state at each question's last token."""
        head = head_of(self.model)
        return supervised_hidden(
            self.model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N, batch.position_ids_BT
        )

    @torch.no_grad()
    def states(self) -> Tensor:
        """The block's output, `[n, D]`."""
        found = []
        for _, batch in self._batches():
            with states_kept(self.model, [self.layer]) as kept:
                self._last(batch)
            found.append(kept[self.layer][batch.sources_N])
        return torch.cat(found)

    @torch.no_grad()
    def inputs(self, matrix: nn.Module) -> Tensor:
        """The inputs of a matrix, `[n, F]`."""
        found = []
        for _, batch in self._batches():
            with _inputs_of(matrix) as seen:
                self._last(batch)
            found.append(seen[0].flatten(0, 1)[batch.sources_N])
        return torch.cat(found)

    @torch.no_grad()
    def covariance(self, matrix: nn.Module) -> Tensor:
        """Σ x·xᵀ of a matrix's inputs over all tokens of the retained texts, fp32 `[F, F]`."""
        total: Tensor | float = 0.0
        for one in batches_by_length(self.given.data[Role.RETAIN], "", self.given.pad_id, tokens=4096):
            batch = one.to(self.device)
            with _inputs_of(matrix) as seen:
                self._last(batch)
            x_NF = seen[0][batch.attention_mask_BT.bool()].float()
            total = total + x_NF.T @ x_NF
        assert isinstance(total, Tensor), "a role has rows"
        return total

    @torch.no_grad()
    def led_to(self, target: int) -> int:
        """How many questions have `target` as the likeliest next token."""
        head = head_of(self.model)
        return sum(int((head.logits(self._last(batch)).argmax(-1) == target).sum()) for _, batch in self._batches())

    def displacements(self, target: int, steps: int, rate: float, reach: float) -> Tensor:
        """Displacements of the block's output after which `target` follows, `[n, D]`: Adam on −log p(target).

        Args:
            rate: relative to the mean length of the output over √D.
            reach: no displacement is longer than this many times the output there.
        """
        states_nD = self.states()
        found = [self._sought(batch, target, states_nD[rows], steps, rate, reach) for rows, batch in self._batches()]
        return torch.cat(found)

    def _sought(self, batch: Any, target: int, states_nD: Tensor, steps: int, rate: float, reach: float) -> Tensor:
        head, lengths_n1 = head_of(self.model), states_nD.float().norm(dim=-1, keepdim=True)
        moved_nD = torch.zeros_like(states_nD, dtype=torch.float32, requires_grad=True)
        optimiser = torch.optim.Adam([moved_nD], lr=rate * float(lengths_n1.mean()) / states_nD.shape[-1] ** 0.5)
        wanted = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in wanted:
            parameter.requires_grad_(False)
        try:
            for _ in range(steps):
                optimiser.zero_grad()
                with torch.enable_grad(), self._moved(batch, moved_nD):
                    logp_nV = head.logits(self._last(batch)).log_softmax(-1)
                    (-logp_nV[:, target].sum()).backward()
                optimiser.step()
                with torch.no_grad():
                    moved_nD *= (reach * lengths_n1 / moved_nD.norm(dim=-1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
        finally:
            for parameter in wanted:
                parameter.requires_grad_(True)
        return moved_nD.detach()

    @contextmanager
    def _moved(self, batch: Any, moved_nD: Tensor) -> Iterator[None]:
        """Inside, the block's output at the questions' last tokens is displaced."""

        def add(module: nn.Module, args: Any, output: Any) -> Any:
            states_BTD = output[0] if isinstance(output, tuple) else output
            flat_ND = states_BTD.flatten(0, 1).index_add(0, batch.sources_N, moved_nD.to(states_BTD.dtype))
            new_BTD = flat_ND.view_as(states_BTD)
            return (new_BTD, *output[1:]) if isinstance(output, tuple) else new_BTD

        handle = decoder_blocks(self.model, [self.layer])[self.layer].register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()


def _asked(row: Encoded) -> Encoded:
    """A question up to where its answer begins; that the answer's first token follows is what its last token tells."""
    first = next(i for i, w in enumerate(row.weights) if w != 0)
    if first < 2:
        raise ModelError(f"edit: the forget row {row.key} has no question to edit; give questions, not documents")
    weights = (0.0,) * first + (1.0,)
    return replace(row, ids=row.ids[: first + 1], weights=weights)


@contextmanager
def _inputs_of(matrix: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs of a matrix in the forwards inside, `[B, T, F]` each."""
    seen: list[Tensor] = []
    handle = matrix.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    try:
        yield seen
    finally:
        handle.remove()
