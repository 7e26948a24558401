"""Each statistic is its definition, in value and slope, and exact where the model is certain."""

from __future__ import annotations

import math

import pytest
import torch

from forgetting.objectives import statistics as s
from forgetting.objectives.rows import few_rows
from tests.objectives import oracle
from tests.objectives.making import relative, table

ALL = (
    s.LOGP,
    s.RUNNER_UP,
    s.ENTROPY,
    s.VARENTROPY,
    s.RANK,
    s.KL_FROM_REFERENCE,
    s.KL_TO_REFERENCE,
    s.JS_TO_REFERENCE,
    s.JS_TO_UNIFORM,
    s.CE_WITHOUT_TARGET,
    s.ce_to_demoted_reference(3.0),
    s.ce_to_demoted_reference(30.0),
)
SLOPED = tuple(x for x in ALL if x is not s.RANK)
AGAINST = tuple(x for x in ALL if x.against_reference)


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
    logits = torch.tensor([[5.0, 2.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 2.0, 2.0]], requires_grad=True)
    s.statistics_of(logits, torch.tensor([0, 1, 0]), (s.RUNNER_UP,))["runner_up"].sum().backward()
    assert logits.grad is not None
    assert logits.grad.argmax(-1).tolist() == [2, 0, 2]  # its slope is the only one that is not below 0


def test_the_rank_counts_what_is_strictly_more_likely() -> None:
    logits = torch.tensor([[5.0, 2.0, 5.0, 5.0], [1.0, 9.0, 3.0, 0.0]])
    assert s.statistics_of(logits, torch.tensor([0, 0]), (s.RANK,))["rank"].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("width", [1, 97, 128, 129, 300])
def test_the_most_likely_of_equals_has_the_lowest_id(width: int) -> None:
    logits = torch.randint(3, (50, width), generator=torch.Generator().manual_seed(0)).float()
    logits[0] = -torch.inf
    assert s.most_likely(logits).tolist() == logits.argmax(-1).tolist()


def test_without_gradient_values_are_those_with_one() -> None:
    t = table()
    wanted = (s.LOGP, s.RUNNER_UP)
    plain = s.statistics_of(t.logits_NV, t.targets_N, wanted)
    sloped = s.statistics_of(t.logits_NV.clone().requires_grad_(), t.targets_N, wanted)
    for x in wanted:
        torch.testing.assert_close(plain[x.name], sloped[x.name].detach(), rtol=0, atol=0)


LONG = (s.LOGP, s.RUNNER_UP, s.RANK, s.JS_TO_REFERENCE, s.CE_WITHOUT_TARGET, s.ce_to_demoted_reference(10.0))


@pytest.mark.parametrize("wanted", LONG, ids=lambda x: x.name)
def test_rows_that_do_not_fit_into_cache_together_keep_their_order(wanted: s.Statistic) -> None:
    logits, reference = torch.randn(2, 3, 2**19, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert len(list(few_rows(logits))) == 2
    targets, ours, theirs = torch.tensor([5, 0, 70_000]), logits.clone().requires_grad_(), logits.requires_grad_()
    actual = s.statistics_of(ours, targets, (wanted,), reference)[wanted.name]
    expected = oracle.statistic(wanted.name, theirs, targets, reference)
    torch.testing.assert_close(actual, expected.to(actual.dtype), rtol=1e-12, atol=1e-12)
    if wanted is not s.RANK:
        factors = torch.tensor([1.0, -2.0, 3.0])
        (factors * actual).sum().backward()
        (factors * expected).sum().backward()
        assert ours.grad is not None and theirs.grad is not None
        close = 1e-9 if wanted is s.CE_WITHOUT_TARGET else 1e-12  # the oracle's is a difference of near equals
        assert relative(ours.grad, theirs.grad) <= close


def test_a_model_against_itself_has_no_divergence() -> None:
    t = table(sharp=20.0)
    found = s.statistics_of(t.logits_NV.float(), t.targets_N, ALL, t.logits_NV.float())
    assert all(found[f"{x}_reference"].abs().max() <= 1e-6 for x in ("kl_from", "kl_to", "js_to"))


def test_no_gradient_reaches_the_reference() -> None:
    t = table()
    logits, reference = t.logits_NV.clone().requires_grad_(), t.reference_NV.clone().requires_grad_()
    found = s.statistics_of(logits, t.targets_N, AGAINST, reference)
    sum(found.values()).sum().backward()  # type: ignore[union-attr]
    assert reference.grad is None and logits.grad is not None


@pytest.mark.parametrize("own", [20.0, 30.0, 80.0])
def test_a_token_that_is_nearly_certain_keeps_its_small_loss(own: float) -> None:
    """As one number, log sum exp would swallow it: 80 and 80.000006 are the same in fp32, as are 1 and 1.00000001."""
    logits = torch.randn(8, 50_000, generator=torch.Generator().manual_seed(0)) + own - 20
    logits[:, 0] = own
    found = s.statistics_of(logits, torch.zeros(8, dtype=torch.long), (s.LOGP,))["logp"]
    expected = oracle.statistic("logp", logits.double(), torch.zeros(8, dtype=torch.long))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_logits_far_apart_stay_finite() -> None:
    logits = torch.tensor([[0.0, 500.0, -500.0]], requires_grad=True)
    found = s.statistics_of(logits, torch.tensor([2]), ALL, torch.tensor([[500.0, 0.0, -500.0]]))
    assert all(torch.isfinite(v).all() for v in found.values())
    assert found["logp"].item() == -1000.0
    sum(v.sum() for k, v in found.items() if k != "rank").backward()  # type: ignore[union-attr]
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_jensen_shannon_is_symmetric_and_at_most_log_two() -> None:
    for sharp in (0.5, 3.0, 80.0):
        t = table(sharp=sharp)
        one, other = (
            s.statistics_of(a, t.targets_N, (s.JS_TO_REFERENCE,), b)["js_to_reference"]
            for a, b in ((t.logits_NV, t.reference_NV), (t.reference_NV, t.logits_NV))
        )
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
        assert one.min() >= 0 and one.max() <= math.log(2) * (1 + 1e-12)


@pytest.mark.parametrize("own", [-30.0, -5.0, 0.0, 5.0, 30.0])
def test_without_its_target_the_slope_is_exact_however_small_p_is(own: float) -> None:
    """It is p(y)·(onehot(y) − q); as p − q it would be 0 in fp32 for −30."""
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[:, 3] = own
    targets = torch.full((4,), 3)
    rounded = logits.float().requires_grad_()
    s.statistics_of(rounded, targets, (s.CE_WITHOUT_TARGET,))["ce_without_target"].sum().backward()
    onehot = torch.nn.functional.one_hot(targets, 50)
    expected = oracle.probabilities(logits)[:, 3:4] * (onehot - oracle.without_target(logits, targets))
    assert rounded.grad is not None
    torch.testing.assert_close(rounded.grad.double(), expected, rtol=1e-5, atol=0)


def test_without_its_target_the_slope_is_that_of_the_unlikelihood() -> None:
    t = table()
    ours, theirs = t.logits_NV.clone().requires_grad_(), t.logits_NV.clone().requires_grad_()
    s.statistics_of(ours, t.targets_N, (s.CE_WITHOUT_TARGET,))["ce_without_target"].sum().backward()
    (-(1 - oracle.statistic("logp", theirs, t.targets_N).exp()).log()).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    assert relative(ours.grad, theirs.grad) <= 1e-10


def test_a_demotion_without_end_leaves_the_reference_without_the_target() -> None:
    t = table()
    wanted = s.ce_to_demoted_reference(1e9)
    far = s.statistics_of(t.logits_NV, t.targets_N, (wanted,), t.logits_NV)[wanted.name]
    own = s.statistics_of(t.logits_NV, t.targets_N, (s.CE_WITHOUT_TARGET,))["ce_without_target"]
    torch.testing.assert_close(far, own, rtol=1e-12, atol=0)
