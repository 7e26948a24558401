"""SISS: its weights and losses against published figures, an integral and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from examples.diffusion.digits import digits, measured, of_siss, train, unlearned
from examples.diffusion.siss import Noise, losses, step, weights
from tests.golden import figures

GOLDEN = figures("digest")["SISS"]


def normal(z: Tensor, mean: float, sigma: float) -> Tensor:
    return (-(((z - mean) / sigma) ** 2) / 2).exp() / (sigma * math.sqrt(2 * math.pi))


def test_the_published_figures_of_weights_and_losses() -> None:
    r = np.random.default_rng(6)
    x, a, n1, n2 = (torch.from_numpy(r.standard_normal((6, 1, 3, 3))).flatten(1) for _ in range(4))
    t = torch.from_numpy(r.integers(0, 10, 6))
    gamma, sigma = Noise.linear(10).at(t, x)
    picks = torch.tensor(GOLDEN["picks_x"])[:, None]
    z = torch.where(picks, gamma * x + sigma * n1, gamma * a + sigma * n2)
    found = weights(z, x, a, gamma, sigma, 0.5)
    np.testing.assert_allclose(found[:, 0], GOLDEN["weight_x"], rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(found[:, 1], GOLDEN["weight_a"], rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(0.5 * found.sum(1), GOLDEN["weights_sum_identity"], rtol=1e-12)
    for images, column, name in ((x, 0, "x"), (a, 1, "a")):
        plain = (0.3 * z - (z - gamma * images) / sigma).square()
        assert float((found[:, column, None] * plain).sum(1).mean()) in (
            pytest.approx(GOLDEN[f"weighted_loss_{name}_mean"], rel=1e-5),
            pytest.approx(9 * GOLDEN[f"weighted_loss_{name}_mean"], rel=1e-5),  # as a mean over the nine numbers
        )


@pytest.mark.parametrize("lam", [0.1, 0.5, 0.9])
def test_weighed_samples_of_the_mixture_integrate_to_the_plain_expectation(lam: float) -> None:
    """In one dimension, on a fine grid in float64."""
    x, a, gamma, sigma = 0.7, -0.4, 0.8, 0.6
    z = torch.linspace(-6, 6, 200_001, dtype=torch.float64)
    one = torch.ones(len(z), 1, dtype=torch.float64)
    found = weights(z[:, None], x * one, a * one, gamma * one, sigma * one, lam)
    mixture = (1 - lam) * normal(z, gamma * x, sigma) + lam * normal(z, gamma * a, sigma)
    for column, image in enumerate((x, a)):
        loss = (torch.sin(3 * z) - (z - gamma * image) / sigma).square()
        expected = torch.trapezoid(normal(z, gamma * image, sigma) * loss, z)
        assert float(torch.trapezoid(mixture * found[:, column] * loss, z)) == pytest.approx(float(expected), rel=1e-9)


def test_the_losses_are_unbiased() -> None:
    noise, generator = Noise.linear(10), torch.Generator().manual_seed(0)
    count = 200_000
    x, a = (torch.tensor([values], dtype=torch.float64).expand(count, 2) for values in ([0.5, -0.2], [0.1, 0.4]))
    steps = torch.full((count,), 6)

    def denoise(z: Tensor, t: Tensor) -> Tensor:
        return torch.sin(z)

    kept, forgotten = losses(denoise, x, a, steps, noise, 0.5, generator)
    gamma, sigma = noise.at(steps, x)
    for found, images in ((kept, x), (forgotten, a)):
        drawn = torch.randn(images.shape, generator=generator, dtype=torch.float64)
        plain = (denoise(gamma * images + sigma * drawn, steps) - drawn).square().sum(-1)
        error = float(plain.std()) / math.sqrt(count)
        assert float(found) == pytest.approx(float(plain.mean()), abs=8 * error)


def test_the_second_gradient_has_a_fixed_share_of_the_length_of_the_first() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    scale = step([parameter], parameter.square().sum(), 7 * parameter[0], share=0.25)
    length = 2 * math.sqrt(14)
    assert scale == pytest.approx(0.25 * length / 7)
    torch.testing.assert_close(parameter.grad, torch.tensor([2.0 - 0.25 * length, 4.0, 6.0]))


def test_digits_are_forgotten_and_others_stay() -> None:
    torch.set_num_threads(1)
    kept, forgotten = digits()
    start = train(torch.cat([kept, forgotten.repeat(200, 1)]), 300)
    before, after = (measured(model, count=20) for model in (start, unlearned(start, of_siss, 40, 3e-4)))
    assert after["forget"] > 1.3 * before["forget"]
    assert after["retain"] < 1.15 * before["retain"]
