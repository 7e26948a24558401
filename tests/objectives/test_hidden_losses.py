"""RMU's two losses are mean squares at the positions that count, and published figures follow from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from forgetting.core.batch import Batch, RoleSpan
from forgetting.core.errors import RecipeError
from forgetting.core.signals import Signals
from forgetting.objectives import hidden_losses
from forgetting.objectives.hidden_losses import control_vector, kept_states, steered
from forgetting.objectives.losses import Loss, nll
from forgetting.objectives.methods import build_method
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.statistics import LOGP
from forgetting.training.states_loss import states_loss

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rmu_pdu_altpo.json").read_text())
THEIRS = GOLDEN["rmu"]["formula"]
LAB = [[2, 3, 4, 5], [3, 4], [1, 2, 3, 4, 5]]
MIXED = 11 * (1 / 4 + 1 / 2 + 1 / 5) / 9
"""open-unlearning divides every row's sum by every row's length: our mean over tokens times this."""


def theirs() -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
    """Weights of the model and of the reference, forget ids, retain ids: as `_inputs` words it."""
    random = np.random.RandomState(20261210)
    ids = [torch.from_numpy(random.randint(0, 9, size=(3, 6))) for _ in range(2)]
    u = random.rand(1, 1, 4).reshape(-1)
    np.testing.assert_allclose(u / np.linalg.norm(u) * 2, GOLDEN["rmu"]["control_vector"], rtol=1e-10)
    models = []
    for seed in (20261211, 20261212):
        random = np.random.RandomState(seed)
        sizes = {"E": (9, 4), "body.weight": (4, 4), "W": (9, 4)}
        models.append({name: torch.from_numpy(random.randn(*size)) for name, size in sizes.items()})
    return models[0], models[1], ids[0], ids[1]


def states(weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    return torch.tanh(weights["E"][ids]) @ weights["body.weight"].T


def batch() -> Batch:
    """Both roles as rows of 6 tokens; their positions are those of the labels themselves, not those before."""
    rows = [(row, place) for row, places in enumerate((*LAB, *LAB[::-1])) for place in places]
    segments = torch.arange(6)[:, None].expand(6, 6).contiguous()
    spans = {
        "forget": RoleSpan(slice(0, 11), slice(0, 3), slice(0, 3)),
        "retain": RoleSpan(slice(11, 22), slice(3, 6), slice(3, 6)),
    }
    grid, n = torch.ones(6, 6, dtype=torch.long), len(rows)
    return Batch(
        grid,
        grid,
        segments,
        torch.tensor([6 * row + place for row, place in rows]),
        torch.zeros(n, dtype=torch.long),
        torch.ones(n),
        torch.tensor([row for row, _ in rows]),
        tuple("abcdef"),
        (0, 1, 2, 0, 1, 2),
        spans,
    )


def value_and_norms(objective: Objective, layer: int = 0) -> tuple[float, dict[str, float]]:
    mine, before, forget, retain = theirs()
    mine = {name: w.requires_grad_() for name, w in mine.items()}
    both = torch.cat([forget, retain])
    b = batch()
    places, _ = b.places("retain", objective.terms[-1].positions)
    given = {"retain": {(layer, objective.terms[-1].positions): states(before, both).flatten(0, 1)[places]}}
    own = {layer: states(mine, both).flatten(0, 1)}
    loss, shares = states_loss(
        b, objective, own, given, weights=objective.weights(0, 1), denominators=objective.denominators([b])
    )
    loss.backward()
    assert set(shares) == set(range(len(objective.terms)))
    return loss.item(), {name: w.grad.norm().item() for name, w in mine.items() if w.grad is not None}


@pytest.fixture(autouse=True)
def their_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    u = torch.tensor(GOLDEN["rmu"]["control_vector"], dtype=torch.float64) / 2
    monkeypatch.setattr(hidden_losses, "control_vector", lambda seed, width: u)


@pytest.mark.parametrize("alpha", [1, 1200])
def test_open_unlearning_s_loss_and_gradients_are_ours_times_what_its_division_mixes(alpha: int) -> None:
    objective = build_method(
        "rmu", {"layer": 0, "coefficient": 2.0, "forget_weight": MIXED, "retain_weight": alpha * MIXED}
    )
    value, norms = value_and_norms(objective)
    figures = GOLDEN["rmu"][f"EMBED_DIFF_alpha{alpha}"]
    assert value == pytest.approx(figures["loss"], rel=1e-6)
    assert norms == pytest.approx(figures["grad_l2"], rel=1e-6)


@pytest.mark.parametrize(
    ("role", "average", "positions", "figure"),
    [
        ("forget", "token", "supervised", "forget_token_mean"),
        ("forget", "sequence", "supervised", "forget_mean_of_rows"),
        ("forget", "token", "all", "forget_all_positions (WMDP's own rmu/unlearn.py)"),
        ("retain", "token", "supervised", "retain_token_mean"),
        ("retain", "sequence", "supervised", "retain_mean_of_rows"),
        ("retain", "token", "all", "retain_all_positions (WMDP's own)"),
    ],
)
def test_every_average_is_the_formula_s(role: str, average: str, positions: str, figure: str) -> None:
    loss = steered(0, 2.0, 0) if role == "forget" else kept_states(0)
    objective = Objective(Term(role, loss, average=average, positions=positions))  # type: ignore[arg-type]
    assert value_and_norms(objective)[0] == pytest.approx(THEIRS[figure], rel=1e-6)


def test_the_control_vector_is_of_unit_norm_positive_and_set_by_its_seed() -> None:
    u = control_vector(3, 50)
    assert u.norm().item() == pytest.approx(1) and (u >= 0).all()
    assert torch.equal(u, control_vector(3, 50)) and not torch.equal(u, control_vector(4, 50))


def test_at_all_positions_a_token_weighs_what_its_sequence_s_tokens_weigh_on_average() -> None:
    b = batch()
    weights_N = b.weights_N.clone()
    weights_N[:4] = torch.tensor([1.0, 3.0, -8.0, 2.0])  # of the first sequence: 2 on average; -8 is of the other sign
    b = Batch(*(getattr(b, n) if n != "weights_N" else weights_N for n in b.__dataclass_fields__))
    states_ND = torch.randn(36, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    objective = Objective(
        Term("forget", steered(0, 2.0, 0), positions="all"),
        Term("forget", steered(0, 2.0, 0), -0.5, sign="negative", positions="all", name="bad"),
    )
    loss, _ = states_loss(
        b, objective, {0: states_ND}, {}, weights=(1.0, -0.5), denominators=objective.denominators([b])
    )
    loss.backward()
    plain = states_ND.detach().clone().requires_grad_()
    u = torch.tensor(GOLDEN["rmu"]["control_vector"], dtype=torch.float64)
    square = (plain[:18] - u).square().mean(-1)
    weight = torch.tensor([2.0] * 6 + [1.0] * 12, dtype=torch.float64)
    expected = (weight * square).sum() / 24 - 0.5 * square[:6].mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(states_ND.grad, plain.grad, rtol=1e-6, atol=1e-12)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(RecipeError, match="'both' asks for hidden states and for statistics of the vocabulary"):
        Loss("both", lambda s: s.logp, needs=(LOGP,), layers=(0,))
    with pytest.raises(RecipeError, match="'theirs' sees no states of the model itself"):
        Loss("theirs", lambda s: s.hidden_of_reference[0], needs=(), layers_of_reference=(0,))
    with pytest.raises(RecipeError, match="term 'forget': the loss 'nll' uses supervised tokens only"):
        Term("forget", nll, positions="all")
    with pytest.raises(RecipeError, match="unknown positions 'every'; known: all, supervised"):
        Term("forget", steered(0, 1.0, 0), positions="every")  # type: ignore[arg-type]


def test_a_layer_below_which_nothing_trains_is_refused() -> None:
    objective = build_method("rmu", {"layer": 0, "retain": "none"})
    with pytest.raises(RecipeError, match="layer 0: no trained weight comes before its output"):
        states_loss(batch(), objective, {0: torch.ones(36, 4)}, {}, weights=(1.0,), denominators=(1.0,))


def test_a_loss_of_pairs_sees_both_halves_states() -> None:
    def compute(s: Signals) -> Tensor:
        mine, theirs = (half.sum_by_sequence(half.hidden[0].sum(-1)) for half in (s, s.paired))
        return mine - 2 * theirs

    loss = Loss("apart", compute, needs=(), layers=(0,), per="sequence", of_pairs=True)
    objective = Objective(Term("forget", loss, average="sequence", partner="retain"))
    states_ND = torch.arange(36.0)[:, None].requires_grad_()
    b = batch()
    total, _ = states_loss(b, objective, {0: states_ND}, {}, weights=(1.0,), denominators=objective.denominators([b]))
    here, there = (
        sum(6 * r + p for r, places in rows for p in places)
        for rows in (list(enumerate(LAB)), list(enumerate(LAB[::-1], 3)))
    )
    assert total.item() == pytest.approx((here - 2 * there) / 3)
