"""Losses and gradients over the vocabulary without a logits tensor.

The head is applied to supervised positions chunk by chunk. Only scalars per token are kept of each chunk; for a loss,
the gradient is computed at once, while the chunk's logits are in memory. This is exact because the objective is a sum
over tokens or whole sequences with divisors known in advance, so each piece can be differentiated alone.

Peak memory is a few times chunk × vocabulary, plus the head's gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from forgetting.models.head import Head
from forgetting.objectives.rows import few_rows
from forgetting.objectives.statistics import Statistic, statistics_of

CHUNK_ELEMENTS = 2**25
"""Logits in one chunk: 32 Mi, 128 MiB in fp32."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Runs of tokens with the part of the loss that depends on them only.

    `loss` maps the statistics of exactly these tokens, in this order, to a scalar. A piece longer than a chunk is
    processed twice: once for the statistics, once for the gradient.
    """

    tokens: tuple[slice, ...]
    """One run; or several that a loss combines, such as the two halves of pairs."""
    needs: tuple[Statistic, ...]
    loss: Callable[[dict[str, Tensor]], Tensor]
    reference_logits: Callable[[slice], Tensor] | None = None
    """The reference's logits for statistics that compare, by slice of the batch's tokens."""


def chunk_tokens(vocabulary: int, elements: int = CHUNK_ELEMENTS) -> int:
    """Tokens per chunk so that chunk × vocabulary stays within `elements`."""
    return max(1, elements // vocabulary)


@torch.no_grad()
def statistics(
    hidden_ND: Tensor,
    head: Head,
    targets_N: Tensor,
    wanted: tuple[Statistic, ...],
    *,
    reference_logits: Callable[[slice], Tensor] | None = None,
    elements: int = CHUNK_ELEMENTS,
) -> dict[str, Tensor]:
    """The wanted statistics of all N tokens, without gradient, each `[N]`; `elements`: logits per chunk."""
    count = -(-len(targets_N) // chunk_tokens(head.vocabulary(hidden_ND), elements))
    size = -(-len(targets_N) // max(1, count)) or 1  # chunks of equal length: products with few rows are slow
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(targets_N), size):
        chunk = slice(start, min(start + size, len(targets_N)))
        other = reference_logits(chunk) if reference_logits is not None else None
        logits_NV, targets = head.logits(hidden_ND[chunk]), targets_N[chunk]
        for rows in few_rows(logits_NV):  # all statistics of a row while it is in cache
            against = None if other is None else other[rows]
            parts.append(statistics_of(logits_NV[rows], targets[rows], wanted, against))
    empty = {s.name: hidden_ND.new_zeros(0, dtype=torch.float32) for s in wanted}
    return {name: torch.cat([p[name] for p in parts]) for name in parts[0]} if parts else empty


def vocabulary_loss(
    hidden_ND: Tensor, head: Head, targets_N: Tensor, pieces: Sequence[Piece], *, elements: int = CHUNK_ELEMENTS
) -> Tensor:
    """The sum of the pieces' losses, differentiable once in the hidden states and in the head's weight and bias.

    Args:
        hidden_ND: final hidden states of the supervised positions (plain logits if the head is the identity).
        head: the vocabulary head.
        targets_N: token ids.
        pieces: each token is in at most one of them.
        elements: logits per chunk.

    Returns:
        A scalar, fp32.
    """
    context = _Context(head, targets_N, pieces, chunk_tokens(head.vocabulary(hidden_ND), elements))
    return _VocabularyLoss.apply(hidden_ND, head.weight_VD, head.bias_V, context)


@dataclass
class _Context:
    head: Head
    targets_N: Tensor
    pieces: Sequence[Piece]
    chunk: int
    grads: _Grads | None = field(default=None, init=False)


@dataclass
class _Grads:
    hidden_ND: Tensor
    weight_VD: Tensor | None
    bias_V: Tensor | None


class _VocabularyLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass; the backward pass only passes them on."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        hidden_ND: Tensor,
        weight_VD: Tensor | None,
        bias_V: Tensor | None,
        context: _Context,
    ) -> Tensor:
        needs = ctx.needs_input_grad  # type: ignore[attr-defined]
        grads = _Grads(
            torch.zeros_like(hidden_ND),
            torch.zeros_like(weight_VD, dtype=_sum_dtype(weight_VD)) if weight_VD is not None and needs[1] else None,
            torch.zeros_like(bias_V, dtype=_sum_dtype(bias_V)) if bias_V is not None and needs[2] else None,
        )
        total = torch.zeros((), dtype=_sum_dtype(hidden_ND), device=hidden_ND.device)
        for piece in context.pieces:
            total += _piece(hidden_ND.detach(), context, piece, grads)
        if weight_VD is not None and grads.weight_VD is not None:
            grads.weight_VD = grads.weight_VD.to(weight_VD.dtype)
        if bias_V is not None and grads.bias_V is not None:
            grads.bias_V = grads.bias_V.to(bias_V.dtype)
        context.grads = grads
        ctx.context = context  # type: ignore[attr-defined]
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grad: Tensor) -> tuple[Tensor | None, ...]:
        context: _Context = ctx.context  # type: ignore[attr-defined]
        grads = context.grads
        if grads is None:
            raise RuntimeError("vocabulary_loss can be differentiated once only")
        context.grads = None
        scale = grad[0]

        def handed_on(tensor: Tensor | None) -> Tensor | None:
            return tensor if tensor is None or scale == 1 else tensor.mul_(scale.to(tensor.dtype))

        return handed_on(grads.hidden_ND), handed_on(grads.weight_VD), handed_on(grads.bias_V), None


def _sum_dtype(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _piece(hidden_ND: Tensor, context: _Context, piece: Piece, grads: _Grads) -> Tensor:
    """Adds one piece's gradients to `grads` and returns its loss."""
    chunks = _chunks(piece.tokens, context.chunk)
    if len(chunks) == 1:
        projected_NV, stats = _open(hidden_ND, context, piece, chunks[0])
        with torch.enable_grad():
            loss = piece.loss(stats)
        if loss.requires_grad:
            _accumulate(hidden_ND, context, chunks[0], torch.autograd.grad(loss, projected_NV)[0], grads)
        return loss.detach()

    with torch.no_grad():
        seen = [_values(hidden_ND, context, piece, chunk) for chunk in chunks]
    leaves = {name: torch.cat([s[name] for s in seen]).requires_grad_() for name in seen[0]}
    with torch.enable_grad():
        loss = piece.loss(leaves)
    if not loss.requires_grad:
        return loss.detach()
    slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    used = {name: slope for name, slope in zip(leaves, slopes, strict=True) if slope is not None}
    done = 0
    for chunk in chunks:
        here = slice(done, done + sum(run.stop - run.start for run in chunk))
        done = here.stop
        projected_NV, stats = _open(hidden_ND, context, piece, chunk)
        through = [(stats[n], g[here]) for n, g in used.items() if stats[n].requires_grad]  # a rank has no slope
        if not through:
            continue
        (grad_NV,) = torch.autograd.grad([s for s, _ in through], projected_NV, [g for _, g in through])
        _accumulate(hidden_ND, context, chunk, grad_NV, grads)
    return loss.detach()


def _chunks(runs: tuple[slice, ...], size: int) -> list[tuple[slice, ...]]:
    """The tokens in order, `size` at a time; a chunk may end one run and begin the next."""
    chunks: list[tuple[slice, ...]] = []
    chunk: list[slice] = []
    room = size
    for run in runs:
        start = run.start
        while start < run.stop:
            stop = min(start + room, run.stop)
            chunk.append(slice(start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                chunks.append(tuple(chunk))
                chunk, room = [], size
    return [*chunks, tuple(chunk)] if chunk else chunks


def _joined(part: Callable[[slice], Tensor], chunk: tuple[slice, ...]) -> Tensor:
    """One run without a copy; several are concatenated."""
    return part(chunk[0]) if len(chunk) == 1 else torch.cat([part(run) for run in chunk])


def _reference(piece: Piece, chunk: tuple[slice, ...]) -> Tensor | None:
    return None if piece.reference_logits is None else _joined(piece.reference_logits, chunk)


def _values(hidden_ND: Tensor, context: _Context, piece: Piece, chunk: tuple[slice, ...]) -> dict[str, Tensor]:
    logits_NV = context.head.logits(_joined(hidden_ND.__getitem__, chunk))
    targets_N = _joined(context.targets_N.__getitem__, chunk)
    return statistics_of(logits_NV, targets_N, piece.needs, _reference(piece, chunk))


def _open(
    hidden_ND: Tensor, context: _Context, piece: Piece, chunk: tuple[slice, ...]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The chunk's projection as a leaf, and its statistics with their graph down to it."""
    projected_NV = context.head.project(_joined(hidden_ND.__getitem__, chunk)).detach().requires_grad_()
    with torch.no_grad():
        reference = _reference(piece, chunk)
    with torch.enable_grad():
        logits_NV = context.head.finish(projected_NV)
        targets_N = _joined(context.targets_N.__getitem__, chunk)
        return projected_NV, statistics_of(logits_NV, targets_N, piece.needs, reference)


def _accumulate(hidden_ND: Tensor, context: _Context, chunk: tuple[slice, ...], grad_NV: Tensor, grads: _Grads) -> None:
    weight_VD = context.head.weight_VD
    to_hidden_ND = grad_NV if weight_VD is None else grad_NV @ weight_VD.detach().to(grad_NV.dtype)
    for run, part in zip(chunk, to_hidden_ND.split([run.stop - run.start for run in chunk]), strict=True):
        grads.hidden_ND[run] = part
    if weight_VD is None:
        return
    if grads.weight_VD is not None:
        hidden = _joined(hidden_ND.__getitem__, chunk)
        if grads.weight_VD.dtype == grad_NV.dtype:
            grads.weight_VD.addmm_(grad_NV.T, hidden)
        else:
            grads.weight_VD += grad_NV.T @ hidden
    if grads.bias_V is not None:
        grads.bias_V += grad_NV.sum(0)
