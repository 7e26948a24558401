"""Each loss is its formula in value and gradient, and behaves at its limits as the papers say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetting.core.errors import RecipeError
from forgetting.core.signals import Signals
from forgetting.objectives.losses import (
    ByPopularity,
    ceu,
    dpo,
    ihl,
    js_to_reference,
    js_to_target,
    js_to_uniform,
    kl_from_reference,
    kl_from_uniform,
    kl_to_reference,
    nll,
    npo,
    of_partner,
    undial,
    weighted_nll,
)
from forgetting.objectives.objective import Objective, Term
from tests.golden import golden
from tests.objectives import oracle
from tests.objectives.making import Table, loss_of, relative, signals_of, table, with_gradient

PLAIN = (nll, ihl, kl_from_reference, kl_to_reference, js_to_reference, js_to_uniform, js_to_target)
PLAIN += (ceu, kl_from_uniform)
TOKEN_LOSSES = {loss.name: loss for loss in PLAIN} | {
    "undial 3": undial(3.0),
    "undial 30": undial(30.0),
    "weighted_nll 0.5 0": weighted_nll(0.5),
    "weighted_nll 5 1": weighted_nll(5.0, 1.0),
    "weighted_nll 1 0 0.1": weighted_nll(1.0, ratio=0.1),
    "weighted_nll 0 0.5 2": weighted_nll(0.0, 0.5, 2.0),
    "npo 0.5": npo(0.5, "token"),
}


def gradient(objective: Objective, t: Table, dtype: torch.dtype = torch.float64) -> tuple[float, torch.Tensor]:
    mine = with_gradient(t, dtype)
    loss = loss_of(objective, {"forget": mine})
    loss.backward()
    assert mine.logits_NV.grad is not None
    return loss.item(), mine.logits_NV.grad


@pytest.mark.parametrize("sharp", [1.0, 8.0])
@pytest.mark.parametrize("sign", ["positive", "negative"])
@pytest.mark.parametrize("average", ["token", "sequence", "sequence_sum"])
@pytest.mark.parametrize("name", TOKEN_LOSSES)
def test_a_token_loss_is_its_formula_under_every_average(name: str, average: str, sign: str, sharp: float) -> None:
    t, loss = table(signed=True, sharp=sharp), TOKEN_LOSSES[name]
    objective = Objective(Term("forget", loss, average=average, sign=sign))  # type: ignore[arg-type]
    plain = with_gradient(t)
    values_N = oracle.token_values(name, plain.logits_NV, t.targets_N, t.reference_NV)
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


def test_the_exponents_by_popularity_are_the_stated_ones_and_clipped() -> None:
    theirs = golden("digest")["figures"]["AdaPop"]
    seen = Signals({"logp": torch.zeros(6, dtype=torch.float64)}, torch.ones(6), torch.arange(6), 6)
    seen = replace(seen, popularity_N=torch.tensor(theirs["pop_sum"], dtype=torch.float64))
    assert ByPopularity(58.7, 0.796, 0.05, 2.0).of(seen).tolist() == pytest.approx(theirs["beta"], rel=1e-12)
    never = replace(seen, popularity_N=torch.zeros(6))
    assert ByPopularity(58.7, 0.796, 0.05, 2.0).of(never).tolist() == [2.0] * 6


def test_a_loss_says_what_it_needs() -> None:
    assert not nll.needs_reference and not ihl.needs_reference
    assert npo(0.1).needs_reference and kl_from_reference.needs_reference and kl_to_reference.needs_reference
    assert npo(0.1).per == dpo(0.1).per == "sequence"
    assert dpo(0.1).of_pairs and dpo(0.1).needs_reference and not npo(0.1).of_pairs
    assert js_to_reference.needs_reference and undial(3.0).needs_reference
    assert not any(x.needs_reference for x in (js_to_uniform, kl_from_uniform, js_to_target, ceu, weighted_nll(1.0)))
    assert weighted_nll(1.0, ratio=0.1).needs_reference
    assert npo(0.1, "token").per == "token" and of_partner(nll).per == "sequence" and of_partner(nll).of_pairs


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize(("beta", "gamma"), [(4.5, 0.0), (0.7, 1.5), (1.0, 3.0)])
def test_a_mean_log_ratio_is_its_formula(beta: float, gamma: float, reference: bool) -> None:
    """Without a reference: SimNPO."""
    t = table(sharp=2.0)
    plain = with_gradient(t)
    theirs = t.reference_NV if reference else None
    expected = oracle.simnpo(plain.logits_NV, t.targets_N, t.sequences, beta, gamma, theirs)
    expected.backward()
    objective = Objective(Term("forget", npo(beta, "mean", reference=reference, gamma=gamma), average="sequence"))
    assert objective.needs_reference == reference
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        value, slope = gradient(objective, t, dtype)
        assert value == pytest.approx(expected.item(), rel=tolerance)
        assert relative(slope, plain.logits_NV.grad) <= tolerance  # type: ignore[arg-type]


def test_the_length_of_an_answer_counts_its_counted_tokens_whatever_they_weigh() -> None:
    t = table(lengths=(4, 3), sharp=2.0)
    weights = [2.0, -1.0, 2.0, -1.0, 2.0, 2.0, -5.0]
    kept = [0, 2, 4, 5]
    short = Table(t.logits_NV[kept], t.reference_NV[kept], t.targets_N[kept], [1.0] * 4, [0, 0, 1, 1])
    objective = Objective(Term("forget", npo(4.5, "mean", reference=False), average="sequence"))
    signed = Table(t.logits_NV, t.reference_NV, t.targets_N, weights, t.sequences)
    expected = loss_of(objective, {"forget": short}).item()
    assert loss_of(objective, {"forget": signed}).item() == pytest.approx(expected, rel=1e-12)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown level 'tokn'; did you mean 'token'"):
        npo(0.1, "tokn")  # type: ignore[arg-type]


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_npo_of_tokens_has_the_slope_of_the_weighted_ascent_that_is_published(beta: float) -> None:
    """TNPO: 2p^β/(p^β + p_ref^β), without gradient, times log p (arXiv 2502.19301)."""
    t = table(sharp=2.0)
    plain = with_gradient(t)
    logp_N, of_reference_N = (oracle.statistic("logp", z, t.targets_N) for z in (plain.logits_NV, t.reference_NV))
    mine_N, theirs_N = logp_N.detach().exp() ** beta, of_reference_N.exp() ** beta
    (2 * mine_N / (mine_N + theirs_N) * logp_N).mean().backward()
    slope = gradient(Objective(Term("forget", npo(beta, "token"))), t)[1]
    assert relative(slope, plain.logits_NV.grad) <= 1e-12  # type: ignore[arg-type]


def test_without_powers_the_weighted_loss_is_the_plain_one() -> None:
    t = table(sharp=40.0)  # some tokens are certain: 0 to the power of 0 is 1
    weighted, plain = (gradient(Objective(Term("forget", loss)), t) for loss in (weighted_nll(0.0, 0.0), nll))
    assert weighted[0] == plain[0] and torch.equal(weighted[1], plain[1])


def test_weights_inside_a_loss_are_divided_by_no_sum() -> None:
    """Where all tokens are nearly forgotten there is nearly nothing to gain."""
    t = table(sharp=0.0)
    far = Table(t.logits_NV.clone(), t.reference_NV, t.targets_N, t.weights, t.sequences)
    far.logits_NV[torch.arange(len(t.targets_N)), t.targets_N] = -20.0
    near, gone = (gradient(Objective(Term("forget", weighted_nll(1.0))), x)[1].norm() for x in (t, far))
    assert gone < 1e-6 * near


def test_the_distance_from_a_target_is_between_0_and_log_two() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0], [0.0, 60.0, 0.0], [0.0, 200.0, 0.0]], requires_grad=True)
    t = Table(logits, logits, torch.tensor([0, 0, 0]), [1.0] * 3, [0, 0, 0])
    values = js_to_target.compute(signals_of(Objective(Term("forget", js_to_target)), "forget", t))
    torch.testing.assert_close(values, torch.tensor([0.0, math.log(2), math.log(2)]), rtol=0, atol=1e-6)
    values.sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("signed", [False, True])
def test_a_loss_of_the_partner_is_the_mean_over_its_answers_and_leaves_the_role_itself_alone(signed: bool) -> None:
    tables = {role: with_gradient(t) for role, t in pairs(signed=signed).items()}
    objective = Objective(Term("forget", of_partner(js_to_target), average="sequence", partner="alternate"))
    loss = loss_of(objective, tables)
    loss.backward()
    plain = with_gradient(pairs(signed=signed)["alternate"])
    values_N = oracle.token_values("js_to_target", plain.logits_NV, plain.targets_N, plain.reference_NV)
    total, mass = torch.zeros((), dtype=torch.float64), 0.0
    rejected = tables["forget"]
    for s in sorted(set(rejected.sequences)):
        weights = [w for w, own in zip(rejected.weights, rejected.sequences, strict=True) if own == s and w > 0]
        answer = [n for n, own in enumerate(plain.sequences) if own == s and plain.weights[n] > 0]
        if weights:
            weight = math.fsum(weights) / len(weights)
            mass += weight
            if answer:
                total = total + weight * values_N[answer].mean()
    (total / mass).backward()
    close = 1e-6 if signed else 1e-12
    assert loss.item() == pytest.approx((total / mass).item(), rel=close)
    assert relative(tables["alternate"].logits_NV.grad, plain.logits_NV.grad) <= close  # type: ignore[arg-type]
    assert tables["forget"].logits_NV.grad is None or not tables["forget"].logits_NV.grad.any()
