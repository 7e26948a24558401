"""The best rank-r approximation of a matrix: exact for small matrices, nearly exact for large ones."""

from __future__ import annotations

import torch
from torch import Tensor

EXACT_UP_TO = 4096
"""The largest smaller side for which the decomposition is exact."""
_OVERSAMPLE = 16
_MAX_ROUNDS = 60
_UNSEEN_SHARE = 2e-4


def top_singular(matrix: Tensor, rank: int, *, seed: int = 0, exact_up_to: int = EXACT_UP_TO) -> tuple[Tensor, Tensor]:
    """The `rank` largest singular values and their right singular vectors: `[r]` and `[r, in]`, float64.

    Exact (Gram matrix of the smaller side and its eigenvectors) while that side is at most `exact_up_to`; beyond, a
    random subspace is iterated until the energy it captures, Σ σ², has stopped growing: at least 0.999 of the best.
    torch's `svd_lowrank` with its two iterations misses a quarter or more of B·A on flat spectra.

    The sign of each vector is fixed: its largest component is positive. A rank above the smaller side is reduced to it.
    """
    matrix = matrix.double() if matrix.device.type != "mps" else matrix.cpu().double()
    rank = min(rank, *matrix.shape)
    values, vectors = _exact(matrix, rank) if min(matrix.shape) <= exact_up_to else _iterated(matrix, rank, seed)
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return values, vectors * torch.where(largest < 0, -1.0, 1.0)


def _exact(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    rows, columns = matrix.shape
    tall = rows >= columns
    squares, vectors = torch.linalg.eigh(matrix.T @ matrix if tall else matrix @ matrix.T)  # ascending
    values = squares.clamp_min(0).sqrt().flip(0)[:rank]
    vectors = vectors.flip(1)[:, :rank].T
    return values, vectors if tall else _right(matrix, vectors, values)


def _iterated(matrix: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Block power iteration (Halko, Martinsson, Tropp 2011, algorithm 4.4) with a stop rule on the captured energy.

    On a flat spectrum the gain of round k falls about as 1/k², so the remaining gain is about k times the last one.
    """
    width = min(rank + max(rank, _OVERSAMPLE), *matrix.shape)
    draw = torch.randn(matrix.shape[1], width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    basis = torch.linalg.qr(matrix @ draw.to(matrix.device)).Q
    captured = 0.0
    for count in range(1, _MAX_ROUNDS + 1):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
        values, vectors = _exact(basis.T @ matrix, rank)
        energy = float(values.square().sum())
        if count * (energy - captured) <= _UNSEEN_SHARE * energy:
            break
        captured = energy
    return values, vectors


def _right(matrix: Tensor, left: Tensor, values: Tensor) -> Tensor:
    """Right singular vectors of left ones, `[r, in]`; zero where the singular value is (numerically) zero."""
    floor = values[0] * 1e-7 if len(values) else values.new_zeros(())
    safe = torch.where(values > floor, values, torch.inf)
    return (left @ matrix) / safe[:, None]
