"""Each loss is its formula in value and gradient, and behaves at its limits as the papers say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetting.objectives.losses import Loss, dpo, ihl, kl_from_reference, kl_to_reference, nll, npo
from forgetting.objectives.objective import Objective, Term
from tests.objectives import oracle
from tests.objectives.making import Table, loss_of, relative, signals_of, table, with_gradient

TOKEN_LOSSES = (nll, ihl, kl_from_reference, kl_to_reference)


def gradient(objective: Objective, t: Table, dtype: torch.dtype = torch.float64) -> tuple[float, torch.Tensor]:
    mine = with_gradient(t, dtype)
    loss = loss_of(objective, {"forget": mine})
    loss.backward()
    assert mine.logits_NV.grad is not None
    return loss.item(), mine.logits_NV.grad


@pytest.mark.parametrize("sharp", [1.0, 8.0])
@pytest.mark.parametrize("sign", ["positive", "negative"])
@pytest.mark.parametrize("average", ["token", "sequence", "sequence_sum"])
@pytest.mark.parametrize("loss", TOKEN_LOSSES, ids=lambda x: x.name)
def test_a_token_loss_is_its_formula_under_every_average(loss: Loss, average: str, sign: str, sharp: float) -> None:
    t = table(signed=True, sharp=sharp)
    objective = Objective(Term("forget", loss, average=average, sign=sign))  # type: ignore[arg-type]
    plain = with_gradient(t)
    values_N = oracle.token_values(loss.name, plain.logits_NV, t.targets_N, t.reference_NV)
    expected = oracle.averaged(values_N, t.weights, t.sequences, average, 1 if sign == "positive" else -1)
    expected.backward()
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        value, slope = gradient(objective, t, dtype)
        assert value == pytest.approx(expected.item(), rel=tolerance, abs=tolerance)
        assert relative(slope, plain.logits_NV.grad) <= tolerance  # type: ignore[arg-type]


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0, 4.0])
def test_npo_is_its_formula(beta: float) -> None:
    t = table(sharp=2.0)
    plain = with_gradient(t)
    expected = oracle.npo(plain.logits_NV, t.reference_NV, t.targets_N, t.sequences, beta)
    expected.backward()
    objective = Objective(Term("forget", npo(beta), average="sequence"))
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        value, slope = gradient(objective, t, dtype)
        assert value == pytest.approx(expected.item(), rel=tolerance)
        assert relative(slope, plain.logits_NV.grad) <= tolerance  # type: ignore[arg-type]


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_a_data_weight_scales_an_example_s_npo_and_not_its_likelihood(sign: str) -> None:
    t = table(signed=True, sharp=2.0)
    plain = with_gradient(t)
    signed = 1 if sign == "positive" else -1
    expected = oracle.npo(plain.logits_NV, t.reference_NV, t.targets_N, t.sequences, 0.1, t.weights, signed)
    expected.backward()
    objective = Objective(Term("forget", npo(0.1), average="sequence", sign=sign))  # type: ignore[arg-type]
    value, slope = gradient(objective, t)
    assert value == pytest.approx(expected.item(), rel=1e-6)
    assert relative(slope, plain.logits_NV.grad) <= 1e-6  # type: ignore[arg-type]


def test_an_example_of_weight_two_counts_as_two_copies_of_it() -> None:
    t = table(lengths=(4, 3), sharp=2.0)
    objective = Objective(Term("forget", npo(0.1), average="sequence"))
    heavy = Table(t.logits_NV, t.reference_NV, t.targets_N, [2.0] * 4 + [1.0] * 3, t.sequences)
    twice = [*range(4), *range(7)]
    copied = Table(
        t.logits_NV[twice], t.reference_NV[twice], t.targets_N[twice], [1.0] * 11, [0] * 4 + [1] * 4 + [2] * 3
    )
    value = loss_of(objective, {"forget": heavy}).item()
    assert value == pytest.approx(loss_of(objective, {"forget": copied}).item(), rel=1e-12)
    assert value != pytest.approx(loss_of(objective, {"forget": t}).item(), rel=1e-3)


def pairs(sharp: float = 2.0, *, signed: bool = False) -> dict[str, Table]:
    """Rejected and chosen answers of unequal lengths, sequence by sequence."""
    return {
        "forget": table(seed=1, lengths=(4, 1, 7, 2), sharp=sharp, signed=signed),
        "alternate": table(seed=2, lengths=(2, 5, 1, 3), sharp=sharp, signed=signed),
    }


def of_pairs(beta: float, scale: str = "published") -> Objective:
    return Objective(Term("forget", dpo(beta, scale), average="sequence", partner="alternate"))  # type: ignore[arg-type]


def by_hand(t: Table) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[int], list[float]]:
    return t.logits_NV, t.reference_NV, t.targets_N, t.sequences, t.weights


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("beta", "scale"), [(0.05, "published"), (0.1, "open_unlearning"), (1.0, "published")])
def test_dpo_is_its_formula(beta: float, scale: str, signed: bool) -> None:
    tables = pairs(signed=signed)
    plain = {role: with_gradient(t) for role, t in tables.items()}
    factor = 1.0 if scale == "published" else 2 / beta
    expected = oracle.dpo(by_hand(plain["forget"]), by_hand(plain["alternate"]), beta, factor)
    expected.backward()
    for dtype, tolerance in ((torch.float64, 1e-6 if signed else 1e-12), (torch.float32, 1e-5)):
        mine = {role: with_gradient(t, dtype) for role, t in tables.items()}
        loss = loss_of(of_pairs(beta, scale), mine)
        loss.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
        for role, t in mine.items():
            assert relative(t.logits_NV.grad, plain[role].logits_NV.grad) <= tolerance  # type: ignore[arg-type]


def test_dpo_at_the_reference_is_log_two_and_moves_each_half_the_other_way() -> None:
    same = {
        role: with_gradient(Table(t.logits_NV, t.logits_NV, t.targets_N, t.weights, t.sequences))
        for role, t in pairs().items()
    }
    loss = loss_of(of_pairs(0.1), same)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), rel=1e-12)
    for role, weight in (("forget", -0.05), ("alternate", 0.05)):
        sums = Objective(Term("forget", nll, weight=weight, average="sequence_sum"))
        assert relative(same[role].logits_NV.grad, gradient(sums, same[role])[1]) <= 1e-12  # type: ignore[arg-type]


def test_dpo_without_a_change_of_the_alternate_is_npo_up_to_its_factor() -> None:
    tables = pairs()
    still = tables["alternate"]
    tables["alternate"] = Table(still.logits_NV, still.logits_NV, still.targets_N, still.weights, still.sequences)
    expected = loss_of(Objective(Term("forget", npo(0.1), average="sequence")), {"forget": tables["forget"]})
    assert loss_of(of_pairs(0.1, "open_unlearning"), tables).item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_preference_is_finite_where_both_answers_are_far_from_the_reference() -> None:
    mine = {role: with_gradient(t, torch.float32) for role, t in pairs(sharp=60.0).items()}
    loss = loss_of(of_pairs(1.0), mine)
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(torch.isfinite(t.logits_NV.grad).all() for t in mine.values())  # type: ignore[arg-type]


def test_ascent_is_descent_turned_round() -> None:
    t = table()
    down, up = (Objective(Term("forget", nll, weight=w)) for w in (1.0, -1.0))
    (loss, slope), (negative_loss, negative_slope) = gradient(down, t), gradient(up, t)
    assert negative_loss == -loss and torch.equal(negative_slope, -slope)


def test_npo_becomes_ascent_as_beta_goes_to_zero() -> None:
    t = table(sharp=1.0)
    ascent = gradient(Objective(Term("forget", nll, weight=-1.0, average="sequence_sum")), t)[1]
    gaps = []
    for beta in (0.1, 0.01, 0.001):
        slope = gradient(Objective(Term("forget", npo(beta), average="sequence")), t)[1]
        gaps.append(relative(slope, ascent))
    assert gaps[2] < 1e-2 and gaps[0] > 5 * gaps[1] > 25 * gaps[2]


def test_npo_at_the_reference_is_a_constant_with_the_slope_of_ascent() -> None:
    t = table()
    same = Table(t.logits_NV, t.logits_NV, t.targets_N, t.weights, t.sequences)
    value, slope = gradient(Objective(Term("forget", npo(0.1), average="sequence")), same)
    assert value == pytest.approx(20 * torch.log(torch.tensor(2.0)).item())
    ascent = gradient(Objective(Term("forget", nll, weight=-1.0, average="sequence_sum")), t)[1]
    assert relative(slope, ascent) <= 1e-12


def test_npo_is_finite_far_from_the_reference() -> None:
    t = table(sharp=60.0)
    value, slope = gradient(Objective(Term("forget", npo(1.0), average="sequence")), t, torch.float32)
    assert torch.isfinite(slope).all() and 0 <= value < float("inf")


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), sharp=st.floats(0, 80))
def test_the_inverted_hinge_lies_between_0_and_2(seed: int, sharp: float) -> None:
    t = table(seed=seed, sharp=sharp)
    objective = Objective(Term("forget", ihl))
    values = ihl.compute(signals_of(objective, "forget", t))
    assert values.min() >= -1e-12 and values.max() <= 2 + 1e-12


def test_the_inverted_hinge_reaches_its_ends() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0], [0.0, 60.0, 0.0], [0.0, 0.0, 0.0]])
    t = Table(logits, logits, torch.tensor([0, 0, 0]), [1.0] * 3, [0, 0, 0])
    values = ihl.compute(signals_of(Objective(Term("forget", ihl)), "forget", t))
    torch.testing.assert_close(values, torch.tensor([2.0, 0.0, 1.0]), rtol=0, atol=1e-6)


def test_a_loss_says_what_it_needs() -> None:
    assert not nll.needs_reference and not ihl.needs_reference
    assert npo(0.1).needs_reference and kl_from_reference.needs_reference and kl_to_reference.needs_reference
    assert npo(0.1).per == dpo(0.1).per == "sequence"
    assert dpo(0.1).of_pairs and dpo(0.1).needs_reference and not npo(0.1).of_pairs
