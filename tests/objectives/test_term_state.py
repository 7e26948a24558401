"""A dual variable moves once per step as the published trajectory does, and an objective's states begin anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from forgetting.core.errors import RecipeError
from forgetting.objectives.losses import logit_margin
from forgetting.objectives.methods import build_method
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.term_state import DualVariable
from tests.objectives.making import Table, loss_of, with_gradient

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rmu_pdu_altpo.json").read_text())["pdu"]


def table(logits: np.ndarray, labels: np.ndarray, shift: int) -> Table:
    """The positions that predict the labels, or (shift 0) those of the labels themselves."""
    rows, columns = np.nonzero(labels[:, shift:] != -100)
    z = torch.from_numpy(np.ascontiguousarray(logits[rows, columns]))
    return Table(z, z, torch.from_numpy(labels[rows, columns + shift]), [1.0] * len(rows), rows.tolist())


def steps(shift: int) -> list[dict[str, Table]]:
    """As `_inputs` words it."""
    random = np.random.RandomState(20261211)
    made = []
    for _ in range(4):
        f, r = (2 * random.randn(2, 5, 11) for _ in range(2))
        y, z = (random.randint(0, 11, size=(2, 5)) for _ in range(2))
        for labels in (y, z):
            labels[0, :2] = labels[1, :3] = -100
        made.append({"forget": table(f, y, shift), "retain": table(r, z, 1)})
    return made


def values(objective: Objective, tables: dict[str, Table]) -> list[float]:
    return [loss_of(Objective(Term(t.role, t.loss)), {t.role: tables[t.role]}).item() for t in objective.terms]


CASES: list[tuple[str, dict[str, Any]]] = [
    ("eps2_eta1_alpha50", {"bound": 2.0, "dual": 50.0}),
    ("eps3.5_eta1_alpha1 (dual reaches zero and returns)", {"bound": 3.5, "dual": 1.0}),
    ("warm-up (no update yet)", {"bound": 2.0, "dual": 50.0, "dual_warmup": 1.0}),
]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_the_dual_and_the_loss_are_open_unlearning_s_over_its_steps(name: str, parameters: dict[str, Any]) -> None:
    figures = GOLDEN[name]
    objective = build_method("pdu", parameters)
    for step, (theirs, tables) in enumerate(zip(figures, steps(shift=0), strict=False)):
        assert objective.weights(step, 4)[1] == pytest.approx(theirs["dual_before"], rel=1e-6)
        loss = loss_of(objective, tables, step=step, total=4).item()
        constant = objective.weights(step, 4)[1] * parameters["bound"]
        assert loss - constant == pytest.approx(theirs["loss"], rel=1e-6)
        forget, retain = values(objective, tables)
        assert (forget, retain) == pytest.approx((theirs["forget_loss"], theirs["retain_loss"]), rel=1e-6)
        objective.update([forget, retain], step, 4)
        assert objective.state() == [None, {"dual": pytest.approx(theirs["dual_after"], rel=1e-6)}]
    assert len(figures) >= 2


def test_at_the_positions_that_predict_it_is_their_shifted_figure() -> None:
    for theirs, tables in zip(GOLDEN["eps2_eta1_alpha50"], steps(shift=1), strict=True):
        assert values(build_method("pdu"), tables)[0] == pytest.approx(theirs["forget_loss_shifted"], rel=1e-6)


def test_the_margin_s_gradient_is_that_of_its_definition() -> None:
    ours, plain = (with_gradient(steps(1)[0]["forget"]) for _ in range(2))

    def by_hand(z: Tensor) -> Tensor:
        rows = [(row.max() - row.sum() / len(row)) ** 2 for row in z]
        return torch.stack(rows).mean()

    actual, expected = loss_of(Objective(Term("forget", logit_margin)), {"forget": ours}), by_hand(plain.logits_NV)
    slopes = [torch.autograd.grad(loss, t.logits_NV)[0] for loss, t in ((actual, ours), (expected, plain))]
    assert actual.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-14)


def test_a_margin_with_ties_moves_the_lowest_token_only() -> None:
    z = torch.tensor([[1.0, 3.0, 3.0, 0.0]], dtype=torch.float64).requires_grad_()
    loss_of(Objective(Term("forget", logit_margin)), {"forget": Table(z, z, torch.tensor([0]), [1.0], [0])}).backward()
    assert z.grad is not None and z.grad[0].argmax() == 1 and z.grad[0, 2] == z.grad[0, 0]


def test_the_warm_up_is_a_share_of_the_steps() -> None:
    dual = DualVariable("retain", 1.0, 0.0, 1.0, warmup=0.5)
    moved = []
    for step in range(6):
        dual.update({"retain": 1.0, "forget": 9.0}, step, 6)
        moved.append(dual.dual)
    assert moved == [1.0, 1.0, 1.0, 2.0, 3.0, 4.0]


def test_an_objective_begins_anew_and_goes_back_to_what_was_saved() -> None:
    objective = build_method("pdu", {"dual": 3.0, "bound": 1.0})
    objective.update([0.0, 3.0], 0, 10)
    saved = json.loads(json.dumps(objective.state()))
    objective.update([0.0, 3.0], 1, 10)
    assert objective.weights(2, 10) == (1.0, 7.0)
    objective.load_state(saved)
    assert objective.weights(1, 10) == (1.0, 5.0)
    objective.start_anew()
    assert objective.weights(0, 10) == (1.0, 3.0)


def test_two_objectives_of_one_method_share_nothing() -> None:
    one, other = (build_method("pdu") for _ in range(2))
    one.update([0.0, 100.0], 0, 1)
    assert one.weights(0, 1) != other.weights(0, 1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bound": -1}, "pdu: bound is -1; it must be 0 or a positive number"),
        ({"dual_step": 0}, "pdu: dual_step is 0; it must be a positive number"),
        ({"dual_warmup": 2}, "pdu: dual_warmup is 2; it is a share of the steps"),
        ({"retain": "none"}, "pdu: retain is 'none'; the method needs a retain loss"),
    ],
)
def test_a_parameter_without_meaning_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_method("pdu", parameters)


def test_adapop_s_dual_follows_the_rise_over_the_first_period() -> None:
    """Two steps a period; by hand: means 2, 2.6, 2.1, 1.0, 40."""
    objective = build_method("adapop", {"period": 0.2, "tolerance": 0.1, "dual_step": 0.5, "dual_most": 5.0})
    retained = [1.5, 2.5, 2.5, 2.7, 2.0, 2.2, 1.0, 1.0, 39.0, 41.0]
    weights = []
    for step, value in enumerate(retained):
        if step == 5:  # goes on from what was saved
            saved = objective.state()
            objective = build_method("adapop", {"period": 0.2, "tolerance": 0.1, "dual_step": 0.5, "dual_most": 5.0})
            objective.load_state(saved)
        weights.append(objective.weights(step, 10)[1])
        objective.update([-3.0, value], step, 10)
    second = 0.5 * (0.3 - 0.1)
    third = second + 0.5 * (0.05 - 0.1)
    fourth = third - 0.5 * 0.1
    assert weights == pytest.approx([0.5] * 4 + [0.5 + second] * 2 + [0.5 + third] * 2 + [0.5 + fourth] * 2)
    assert objective.weights(10, 10)[1] == pytest.approx(5.5)
    objective.start_anew()
    assert objective.weights(0, 10)[1] == 0.5
