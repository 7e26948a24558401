"""The closed form of an edit: the smallest change of a matrix that gives new outputs and leaves a span of inputs alone.

Letters: D outputs, F inputs, n edited inputs, V kept directions. Everything is in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from forgetting.objectives.gradient_rules.input_bases import main_directions


def span_of(covariance_FF: Tensor, share: float) -> Tensor:
    """The kept directions `[F, V]`, orthonormal: see `main_directions`."""
    return main_directions(covariance_FF, share)


def without_span(keys_Fn: Tensor, span_FV: Tensor) -> Tensor:
    """K − V·Vᵀ·K, `[F, n]`: what of the inputs lies outside of the kept directions."""
    return keys_Fn - span_FV @ (span_FV.T @ keys_Fn)


def solved(missing_Dn: Tensor, keys_Fn: Tensor, damping: float) -> Tensor:
    """Δ `[D, F]`, which minimises ‖Δ·K̂ − R‖² + λ·‖Δ‖²: Δ = R·(K̂ᵀ·K̂ + λI)⁻¹·K̂ᵀ.

    It equals AlphaEdit's R·KᵀP·(K·KᵀP + λI)⁻¹ with K̂ = P·K (arXiv 2410.02355, without earlier edits), solved on
    n × n instead of F × F. It is 0 on everything outside of the columns of K̂, so on the kept directions.

    Args:
        missing_Dn: R, what the outputs lack.
        keys_Fn: K̂, the inputs outside of the kept directions.
        damping: λ as a share of the mean square length of the columns of K̂.
    """
    gram_nn = keys_Fn.T @ keys_Fn
    lengths_n = gram_nn.diagonal()
    if not lengths_n.any():
        return missing_Dn @ keys_Fn.T
    ridge_nn = torch.diag(torch.full_like(lengths_n, damping * float(lengths_n.mean())))
    return missing_Dn @ torch.linalg.lstsq(gram_nn + ridge_nn, keys_Fn.T, driver=_driver(gram_nn)).solution


def _driver(tensor: Tensor) -> str:
    """Without damping, equal questions make the system singular: the smallest solution is taken where it is known."""
    return "gelsd" if tensor.device.type == "cpu" else "gels"
