"""Which columns and rows of a weight CURLoRA takes: drawn at random, with small norms preferred.

Fawi 2024, https://arxiv.org/abs/2408.14572: a column of W `[out, in]` has the probability p_j = ‖W_:j‖² / ‖W‖² that CUR
decompositions draw by, a row likewise, and CURLoRA draws by (1 / p_j) / Σ_i (1 / p_i).

Choices where the paper leaves one:
- Without replacement: a column that is drawn twice adds nothing, and the rank would be less than r.
- A column of zeros is never drawn, though its norm is the smallest: C·U·R could not use it.

`released` draws like the author's code: with replacement, from 1 / (p_j + 0.001) in fp32. If a matrix has many more
than 1,000 columns, the 0.001 outweighs every p_j and the drawing is nearly uniform.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forgetting.core.errors import ModelError, nearest
from forgetting.models.adapters.spec import DRAWINGS, Drawing

_RELEASED_OFFSET = 1e-3
_ROWS_AT_ONCE = 512


def inverse_probabilities(squares: NDArray[np.float64], drawing: Drawing = "without_replacement") -> NDArray:
    """The probability of each column (or row) to be drawn first, from its squared norm: `[n]`, summing to 1.

    All zero if all norms are. float64; fp32 for `released`.

    Raises:
        ModelError: the drawing is not known.
    """
    if drawing not in DRAWINGS:
        raise ModelError(f"drawing: '{drawing}' is not known; {nearest(str(drawing), DRAWINGS)}")
    if drawing == "released":
        released = (1 / (squares / (squares.sum() or 1.0) + _RELEASED_OFFSET)).astype(np.float32)
        return released / released.sum()
    least = squares[squares > 0].min(initial=np.inf)  # 1 / p up to a factor, so that nothing overflows
    inverse = np.divide(least, squares, out=np.zeros_like(squares), where=squares > 0)
    return inverse / (inverse.sum() or 1.0)


def draw(
    weight: Tensor, rank: int, *, seed: int, drawing: Drawing = "without_replacement", where: str = "the matrix"
) -> tuple[Tensor, Tensor]:
    """The drawn columns and rows of a weight `[out, in]`: two index vectors `[rank]`, in the order of drawing.

    Norms are computed in float64 on the weight's device and the drawing is done on the CPU, so a seed gives the same
    result on every device; the drawn columns and rows are part of an adapter's state.

    Args:
        seed: of NumPy's `RandomState`, whose numbers stay the same from version to version. Columns are drawn first.
        where: the matrix's name, for the error.

    Raises:
        ModelError: the matrix has fewer columns or rows than `rank` that are not zero, or the drawing is not known.
    """
    random = np.random.RandomState(seed)
    drawn = []
    for what, squares in zip(("columns", "rows"), _squared_norms(weight.detach()), strict=True):
        probabilities = inverse_probabilities(squares, drawing)
        usable = int(np.count_nonzero(probabilities))
        if usable < rank:
            raise ModelError(f"{where}: {usable} {what} that are not zero, too few for rank {rank}; lower adapter.rank")
        chosen = random.choice(len(squares), size=rank, replace=drawing == "released", p=probabilities)
        drawn.append(torch.from_numpy(chosen.astype(np.int64)))
    return drawn[0], drawn[1]


def _squared_norms(weight: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared norms of the columns and of the rows, block by block, to avoid a whole float64 copy."""
    weight = weight.cpu() if weight.device.type == "mps" else weight  # which has no float64
    columns = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
    rows = []
    for block in weight.split(_ROWS_AT_ONCE):
        squares = block.double().square()
        columns += squares.sum(0)
        rows.append(squares.sum(1))
    return columns.cpu().numpy(), torch.cat(rows).cpu().numpy()


def seed_of(seed: int, module: str) -> int:
    """The seed of one matrix; with a common seed, matrices of one shape would get nearly the same columns."""
    return int.from_bytes(hashlib.sha256(f"{seed} {module}".encode()).digest()[:4], "big")
