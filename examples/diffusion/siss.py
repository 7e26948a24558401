"""SISS: one forward for the loss on images to keep and the loss on images to forget (github.com/claserken/SISS).

A noisy image z is drawn from the mixture (1 − λ)·q(z|x) + λ·q(z|a) of an image x to keep and one a to forget, weighed
by w_x = q(z|x) / mixture and w_a = q(z|a) / mixture. So the network is asked once, and both losses are unbiased:

    E_mixture[w_x·|ε(z) − (z − γx)/σ|²] = E_q(z|x)[|ε(z) − (z − γx)/σ|²], and the same of a.

Letters: B pairs of images, D numbers of an image, T steps of noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Noisy images `[B, D]` and steps `[B]` to the noise in them, `[B, D]`."""


@dataclass(frozen=True)
class Noise:
    """q(z|x) at step t is normal with mean γ_t·x and deviation σ_t, γ² + σ² = 1."""

    gammas_T: Tensor
    sigmas_T: Tensor

    @classmethod
    def linear(cls, steps: int, first: float = 1e-3, last: float = 0.2) -> Noise:
        """Variances that rise linearly from `first` to `last` a step."""
        kept_T = torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), 0)
        return cls(kept_T.sqrt(), (1 - kept_T).sqrt())

    def at(self, steps_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """γ and σ of these steps, `[B, 1]` each."""
        return self.gammas_T[steps_B, None].to(like), self.sigmas_T[steps_B, None].to(like)


def weights(z_BD: Tensor, x_BD: Tensor, a_BD: Tensor, gamma_B1: Tensor, sigma_B1: Tensor, lam: float) -> Tensor:
    """w_x and w_a, `[B, 2]`; (1 − λ)·w_x + λ·w_a = 1, whatever the distances."""
    logs_B2 = torch.stack([-((z_BD - gamma_B1 * i) / sigma_B1).square().sum(-1) / 2 for i in (x_BD, a_BD)], -1)
    shares_2 = torch.tensor([1 - lam, lam], dtype=logs_B2.dtype, device=logs_B2.device)
    return (logs_B2 - (logs_B2 + shares_2.log()).logsumexp(-1, keepdim=True)).exp()


def losses(
    denoise: Denoiser, x_BD: Tensor, a_BD: Tensor, steps_B: Tensor, noise: Noise, lam: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The weighed loss on images to keep and that on images to forget, each a mean over pairs.

    Args:
        denoise: the network.
        x_BD: images to keep.
        a_BD: images to forget, one for each.
        steps_B: the step of noise of each pair.
        noise: how much there is at each step.
        lam: λ, the share of noisy images that come from those to forget, between 0 and 1.
        generator: draws the mixture and the noise.
    """
    forgets_B1 = torch.rand(len(x_BD), 1, generator=generator) < lam
    gamma_B1, sigma_B1 = noise.at(steps_B, x_BD)
    drawn_BD = torch.randn(x_BD.shape, generator=generator, dtype=x_BD.dtype)
    z_BD = gamma_B1 * torch.where(forgets_B1, a_BD, x_BD) + sigma_B1 * drawn_BD
    weights_B2, found_BD = weights(z_BD, x_BD, a_BD, gamma_B1, sigma_B1, lam), denoise(z_BD, steps_B)
    kept, forgotten = (
        (weights_B2[:, i] * (found_BD - (z_BD - gamma_B1 * images_BD) / sigma_B1).square().sum(-1)).mean()
        for i, images_BD in enumerate((x_BD, a_BD))
    )
    return kept, forgotten


def step(parameters: list[nn.Parameter], kept: Tensor, forgotten: Tensor, share: float) -> float:
    """Puts the gradient of kept − s·forgotten into the parameters, s such that the second part is `share` as long.

    Returns:
        s.
    """
    keep, forget = (torch.autograd.grad(loss, parameters, retain_graph=loss is kept) for loss in (kept, forgotten))
    lengths = [torch.cat([g.flatten() for g in some]).norm() for some in (keep, forget)]
    scale = float(share * lengths[0] / lengths[1]) if lengths[1] > 0 else 0.0
    for parameter, toward, away in zip(parameters, keep, forget, strict=True):
        parameter.grad = toward - scale * away
    return scale
