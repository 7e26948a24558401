"""Gradients and Hessians of the surrogate's risks, against torch's in float64."""

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from experiments.surrogate.risks import NPO, CrossEntropy, Probability, Risk, RowLoss, Square, minimiser

RNG = np.random.default_rng(5)
INPUTS, THETA = RNG.standard_normal((30, 5)), 2 * RNG.standard_normal(5)
SIGN, SOFT, REFERENCE = np.sign(RNG.standard_normal(30)), RNG.uniform(0, 1, 30), -RNG.uniform(0.1, 3, 30)


def npo(z: torch.Tensor) -> torch.Tensor:
    ratio = logsigmoid(torch.tensor(SIGN) * z) - torch.tensor(REFERENCE)
    return -2 / 0.7 * logsigmoid(-0.7 * ratio)


CASES: list[tuple[RowLoss, object]] = [
    (Square(SOFT), lambda z: (z - torch.tensor(SOFT)) ** 2 / 2),
    (CrossEntropy(SOFT), lambda z: -torch.tensor(SOFT) * logsigmoid(z) - (1 - torch.tensor(SOFT)) * logsigmoid(-z)),
    (Probability(SIGN), lambda z: torch.sigmoid(torch.tensor(SIGN) * z)),
    (NPO(SIGN, REFERENCE, 0.7), npo),
]


@pytest.mark.parametrize(("loss", "plain"), CASES, ids=lambda x: type(x).__name__)
def test_a_risk_is_what_autograd_says(loss: RowLoss, plain) -> None:
    risk = Risk(INPUTS, loss, ridge=0.3)

    def value(theta: torch.Tensor) -> torch.Tensor:
        return plain(torch.tensor(INPUTS) @ theta).mean() + 0.15 * theta @ theta

    theta = torch.tensor(THETA)
    assert risk.value(THETA) == pytest.approx(float(value(theta)), rel=1e-12)
    np.testing.assert_allclose(risk.gradient(THETA), torch.func.grad(value)(theta).numpy(), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(risk.hessian(THETA), torch.func.hessian(value)(theta).numpy(), rtol=1e-10, atol=1e-14)


def test_losses_stay_finite_at_huge_scores() -> None:
    for loss, _ in CASES[1:]:
        risk = Risk(INPUTS, loss)
        assert np.isfinite(risk.value(1e6 * THETA))
        assert np.all(np.isfinite(risk.gradient(1e6 * THETA)))
        assert np.all(np.isfinite(risk.hessian(1e6 * THETA)))


def test_the_minimiser_has_no_gradient() -> None:
    risks = Risk(INPUTS, CrossEntropy((SIGN + 1) / 2), 1e-4), Risk(INPUTS, CrossEntropy(SOFT), 1e-4)
    assert np.linalg.norm(sum(risk.gradient(minimiser(*risks)) for risk in risks)) < 1e-11


def test_a_risk_without_a_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="no risk has a ridge"):
        minimiser(Risk(np.eye(2), CrossEntropy(np.ones(2))))
