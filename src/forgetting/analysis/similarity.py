"""How alike two sets of representations of the same N examples are: CKA, SVCCA, angles between subspaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetting.core.errors import DataError

Matrix = NDArray[np.float64]
FEWEST_EXAMPLES = 4
"""The debiased estimator divides by N (N - 3)."""


def gram(states_ND: NDArray[np.floating]) -> Matrix:
    """The inner products of N centred representations, `[N, N]`, float64."""
    centred_ND = _centred(states_ND)
    return centred_ND @ centred_ND.T


def cka(first_NN: Matrix, second_NN: Matrix) -> float | None:
    """Linear CKA of two Gram matrices (Kornblith et al. 2019, eq. 4, https://arxiv.org/abs/1905.00414); 0 to 1.

    ‖XᵀY‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F) with centred X and Y. For N small beside the width it is large for unrelated
    representations too: see `debiased_cka`. The formula printed in Forget-to-Focus (section 4.5) takes no norms below,
    and so scales with X; this one does not.

    Returns:
        None where one of the two does not vary.
    """
    return _normalised(float((first_NN * second_NN).sum()), *((m * m).sum() for m in (first_NN, second_NN)))


def debiased_cka(first_NN: Matrix, second_NN: Matrix) -> float | None:
    """CKA of unbiased estimates of HSIC (Song et al. 2012, eq. 5, https://jmlr.org/papers/v13/song12a.html).

    Its mean over unrelated representations is about 0 for any N, so it can be negative.

    Args:
        first_NN: a Gram matrix; its diagonal is not used. A common shift of the representations changes nothing.
        second_NN: another, of the same examples.

    Returns:
        None where one of the two does not vary (an estimate of its own HSIC is not above 0).

    Raises:
        DataError: fewer than `FEWEST_EXAMPLES` examples.
    """
    count = len(first_NN)
    if count < FEWEST_EXAMPLES:
        raise DataError(f"debiased CKA of {count} examples does not exist; give at least {FEWEST_EXAMPLES}")
    first_NN, second_NN = (_u_centred(m) for m in (first_NN, second_NN))
    return _normalised(float((first_NN * second_NN).sum()), *((m * m).sum() for m in (first_NN, second_NN)))


@dataclass(frozen=True, slots=True)
class Correlations:
    """Canonical correlations of two representations, each reduced to its leading directions."""

    rho: tuple[float, ...]
    """From the largest; as many as the smaller of the two has directions."""
    kept: tuple[int, int]
    """Directions kept of each."""
    trivial: int
    """How many correlations are 1 by counting alone: both spaces lie in one of N - 1 dimensions."""

    @property
    def mean(self) -> float:
        """SVCCA: the mean of the correlations."""
        return sum(self.rho) / len(self.rho)

    @property
    def told(self) -> float | None:
        """The same; None where every correlation is 1 by counting alone."""
        return self.mean if self.trivial < min(self.kept) else None

    @property
    def examples_wanted(self) -> int:
        """Five for each direction; fewer overstate the correlation."""
        return 5 * sum(self.kept)


def svcca(first_ND: NDArray[np.floating], second_ND: NDArray[np.floating], share: float = 0.99) -> Correlations | None:
    """SVCCA (Raghu et al. 2017, https://arxiv.org/abs/1706.05806): SVD of each, then canonical correlations.

    Of each centred representation the fewest leading directions that hold `share` of the *variance* (Σ s²) are kept;
    the correlations are the singular values of U₁ᵀ U₂.

    Args:
        first_ND: one row for each example.
        second_ND: another representation of the same examples; its width may differ.
        share: of the variance, above 0 and at most 1.

    Returns:
        None where one of the two does not vary.
    """
    return correlations(leading(first_ND, share), leading(second_ND, share))


def correlations(first_Nk: Matrix, second_Nk: Matrix) -> Correlations | None:
    """The canonical correlations of two orthonormal bases, see `leading`; None where one of them is empty."""
    if not first_Nk.shape[1] or not second_Nk.shape[1]:
        return None
    rho = np.linalg.svd(first_Nk.T @ second_Nk, compute_uv=False)
    kept = (first_Nk.shape[1], second_Nk.shape[1])
    return Correlations(tuple(map(float, rho)), kept, max(0, sum(kept) - (len(first_Nk) - 1)))


def directions(states_ND: NDArray[np.floating], count: int) -> tuple[Matrix, float]:
    """Principal directions `[k, D]`, k ≤ `count`, the largest component of each positive; and the first one's share.

    The share is of the variance. Of several components of one size, the first is made positive.
    """
    centred_ND = _centred(states_ND)
    _, sizes_K, found_KD = np.linalg.svd(centred_ND, full_matrices=False)
    total = float((sizes_K**2).sum())
    rank = int((sizes_K > _floor(sizes_K, centred_ND)).sum())
    found_KD = found_KD[: min(count, rank)]
    signs_K = [np.sign(row[np.argmax(np.abs(row))]) for row in found_KD]
    return found_KD * np.reshape(signs_K, (-1, 1)), float(sizes_K[0] ** 2 / total) if total else 0.0


def leading(states_ND: NDArray[np.floating], share: float) -> Matrix:
    """An orthonormal basis `[N, k]` of the fewest leading directions that hold `share` of the variance."""
    centred_ND = _centred(states_ND)
    bases_NK, sizes_K, _ = np.linalg.svd(centred_ND, full_matrices=False)
    sizes_K = sizes_K[sizes_K > _floor(sizes_K, centred_ND)]
    if not len(sizes_K):
        return bases_NK[:, :0]
    held_K = np.cumsum(sizes_K**2) / (sizes_K**2).sum()
    return bases_NK[:, : min(int(np.searchsorted(held_K, share)) + 1, len(sizes_K))]


def _centred(states_ND: NDArray[np.floating]) -> Matrix:
    """Float64, with mean 0; columns that vary by no more than the rounding of their mean are 0."""
    wide_ND = np.asarray(states_ND, dtype=np.float64)
    centred_ND = wide_ND - wide_ND.mean(0)
    rounding_D = len(wide_ND) * np.finfo(np.float64).eps * np.abs(wide_ND).max(0)
    return np.where(np.abs(centred_ND).max(0) > rounding_D, centred_ND, 0.0)


def _floor(sizes_K: Matrix, centred_ND: Matrix) -> float:
    """Singular values up to this are rounding, as numpy counts ranks."""
    return float(sizes_K[0]) * max(centred_ND.shape) * float(np.finfo(np.float64).eps) if len(sizes_K) else 0.0


def _u_centred(gram_NN: Matrix) -> Matrix:
    count = len(gram_NN)
    bare_NN = gram_NN - np.diag(np.diag(gram_NN))
    rows_N = bare_NN.sum(1) / (count - 2)
    total = bare_NN.sum() / ((count - 1) * (count - 2))
    centred_NN = bare_NN - rows_N[:, None] - rows_N[None, :] + total
    np.fill_diagonal(centred_NN, 0.0)
    return centred_NN


def _normalised(both: float, first: float, second: float) -> float | None:
    return both / float(np.sqrt(first) * np.sqrt(second)) if first > 0 and second > 0 else None
