"""Each statistic is its definition, in value and slope, and exact where the model is certain."""

from __future__ import annotations

import pytest
import torch

from forgetting.objectives import statistics as s
from tests.objectives import oracle
from tests.objectives.making import relative, table

ALL = (s.LOGP, s.RUNNER_UP, s.ENTROPY, s.RANK, s.KL_FROM_REFERENCE, s.KL_TO_REFERENCE)
SLOPED = tuple(x for x in ALL if x is not s.RANK)


@pytest.mark.parametrize("sharp", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("wanted", ALL, ids=lambda x: x.name)
def test_each_statistic_is_its_definition(wanted: s.Statistic, sharp: float) -> None:
    t = table(sharp=sharp)
    expected = oracle.statistic(wanted.name, t.logits_NV, t.targets_N, t.reference_NV)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        actual = s.statistics_of(t.logits_NV.to(dtype), t.targets_N, (wanted,), t.reference_NV.to(dtype))
        assert actual[wanted.name].dtype == dtype
        torch.testing.assert_close(actual[wanted.name].double(), expected.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("wanted", SLOPED, ids=lambda x: x.name)
def test_each_slope_is_that_of_the_definition(wanted: s.Statistic) -> None:
    t = table()
    factors = torch.linspace(-1, 2, len(t.targets_N), dtype=torch.float64)
    ours, theirs = t.logits_NV.clone().requires_grad_(), t.logits_NV.clone().requires_grad_()
    (factors * s.statistics_of(ours, t.targets_N, (wanted,), t.reference_NV)[wanted.name]).sum().backward()
    (factors * oracle.statistic(wanted.name, theirs, t.targets_N, t.reference_NV)).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    assert relative(ours.grad, theirs.grad) <= 1e-12


def test_all_asked_at_once_are_what_each_is_alone() -> None:
    t = table()
    together = s.statistics_of(t.logits_NV, t.targets_N, ALL, t.reference_NV)
    assert list(together) == [x.name for x in ALL]
    for wanted in ALL:
        alone = s.statistics_of(t.logits_NV, t.targets_N, (wanted,), t.reference_NV)[wanted.name]
        torch.testing.assert_close(together[wanted.name], alone, rtol=0, atol=0)


def test_the_runner_up_of_equals_has_the_lowest_id() -> None:
    logits = torch.tensor([[5.0, 2.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 2.0, 2.0]])
    distribution = s.Distribution(logits, torch.tensor([0, 1, 0]))
    assert distribution.runner_up_N.tolist() == [2, 0, 2]


def test_the_rank_counts_what_is_strictly_more_likely() -> None:
    logits = torch.tensor([[5.0, 2.0, 5.0, 5.0], [1.0, 9.0, 3.0, 0.0]])
    assert s.statistics_of(logits, torch.tensor([0, 0]), (s.RANK,))["rank"].tolist() == [0.0, 2.0]


def test_a_model_against_itself_has_no_divergence() -> None:
    t = table(sharp=20.0)
    found = s.statistics_of(t.logits_NV.float(), t.targets_N, ALL, t.logits_NV.float())
    assert found["kl_from_reference"].abs().max() <= 1e-6 and found["kl_to_reference"].abs().max() <= 1e-6


def test_no_gradient_reaches_the_reference() -> None:
    t = table()
    logits, reference = t.logits_NV.clone().requires_grad_(), t.reference_NV.clone().requires_grad_()
    found = s.statistics_of(logits, t.targets_N, (s.KL_FROM_REFERENCE, s.KL_TO_REFERENCE), reference)
    sum(found.values()).sum().backward()  # type: ignore[union-attr]
    assert reference.grad is None and logits.grad is not None


def test_a_token_that_is_nearly_certain_keeps_its_small_loss() -> None:
    """As one number, log sum exp would swallow it: 80 and 80.000006 are the same in fp32."""
    logits = torch.tensor([[80.0, 68.0, 0.0]])
    found = s.statistics_of(logits, torch.tensor([0]), (s.LOGP,))["logp"].item()
    assert found == pytest.approx(oracle.statistic("logp", logits.double(), torch.tensor([0])).item(), rel=0.02)


def test_logits_far_apart_stay_finite() -> None:
    logits = torch.tensor([[0.0, 500.0, -500.0]], requires_grad=True)
    found = s.statistics_of(logits, torch.tensor([2]), ALL, torch.tensor([[500.0, 0.0, -500.0]]))
    assert all(torch.isfinite(v).all() for v in found.values())
    assert found["logp"].item() == -1000.0
    sum(v.sum() for k, v in found.items() if k != "rank").backward()  # type: ignore[union-attr]
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
