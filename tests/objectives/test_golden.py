"""The figures that published code gives on the same logits, where that code is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.objectives.losses import Loss, ihl, kl_from_reference, kl_to_reference, nll
from forgetting.objectives.methods import build_method
from forgetting.objectives.objective import Objective, Term
from tests.golden import figures, golden
from tests.objectives.making import Table, loss_of, signals_of, with_gradient

TABLES = ("logits", "ref_logits", "alt_logits", "alt_ref_logits", "retain_logits", "retain_ref_logits")
B, T, V = 3, 7, 11


def inputs(seed: int = 20240501, vocab: int = V) -> dict[str, np.ndarray]:
    """As `_inputs` of losses.json words it."""
    random = np.random.RandomState(seed)
    made = {name: 2.0 * random.randn(B, T, vocab) for name in TABLES}
    for name in ("labels", "alt_labels", "retain_labels"):
        y = random.randint(0, vocab, size=(B, T))
        y[0, [0, 1, 2]] = y[1, [0, 1, 6]] = y[2, [0, 1, 2, 3]] = -100
        made[name] = y
    return made


def supervised(logits: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> Table:
    """The shifted supervised positions of a table, row by row."""
    rows, columns = np.nonzero(labels[:, 1:] != -100)
    z, q = (torch.from_numpy(np.ascontiguousarray(x[rows, columns])) for x in (logits, reference))
    return Table(z, q, torch.from_numpy(labels[rows, columns + 1]), [1.0] * len(rows), rows.tolist())


def roles() -> dict[str, Table]:
    made = inputs()
    return {
        "forget": supervised(made["logits"], made["ref_logits"], made["labels"]),
        "alternate": supervised(made["alt_logits"], made["alt_ref_logits"], made["alt_labels"]),
        "retain": supervised(made["retain_logits"], made["retain_ref_logits"], made["retain_labels"]),
    }


def value_and_norms(objective: Objective, given: dict[str, Table] | None = None) -> tuple[float, dict[str, float]]:
    tables = {role: with_gradient(t) for role, t in (given or roles()).items() if role in objective.roles}
    loss = loss_of(objective, tables)
    loss.backward()
    return loss.item(), {role: t.logits_NV.grad.norm().item() for role, t in tables.items()}  # type: ignore[union-attr]


def test_the_inputs_are_theirs() -> None:
    noted = figures("losses")["_inputs"]
    made = inputs()
    np.testing.assert_allclose(made["logits"][0, 0, :3], noted["check_logits_0_0_0:3"], rtol=1e-11)
    assert made["labels"].tolist() == noted["check_labels"]


NPO_ALONE = {"beta": 0.1, "retain": "none"}


@pytest.mark.parametrize(
    ("figure", "method", "parameters"),
    [
        ("GradAscent", "ga", {}),
        ("GradDiff_NLL_gamma1_alpha1", "graddiff", {}),
        ("NPO_beta0.1", "npo", NPO_ALONE),
        ("DPO_beta0.1", "dpo", {**NPO_ALONE, "scale": "open_unlearning"}),
        ("SimNPO_beta4.5_delta0", "simnpo", {"forget_weight": 1.0, "retain": "none"}),
        ("SimNPO_beta1_delta0", "simnpo", {"beta": 1.0, "forget_weight": 1.0, "retain": "none"}),
        ("WGA_beta1", "wga", {"retain": "none"}),
        ("WGA_beta0.5", "wga", {"beta": 0.5, "retain": "none"}),
        ("SatImp_5_1", "satimp", {"retain": "none"}),
        ("CEU_skip0", "ceu", {"retain": "none"}),
    ],
)
def test_open_unlearning_s_losses_and_gradients(figure: str, method: str, parameters: dict) -> None:
    theirs = figures("losses")[figure]
    value, norms = value_and_norms(build_method(method, parameters))
    assert value == pytest.approx(theirs["loss"], rel=1e-10)
    names = {"forget": "logits", "alternate": "alt_logits", "retain": "retain_logits"}
    for role, norm in norms.items():
        assert norm == pytest.approx(theirs["grad_l2"][names[role]], rel=1e-10)


def test_dpo_as_published_is_theirs_without_their_factor() -> None:
    theirs = figures("losses")["DPO_beta0.1"]
    value, norms = value_and_norms(build_method("dpo", NPO_ALONE))
    assert value == pytest.approx(theirs["loss"] * 0.05, rel=1e-10)
    assert norms["alternate"] == pytest.approx(theirs["grad_l2"]["alt_logits"] * 0.05, rel=1e-10)


def altpo_roles() -> dict[str, Table]:
    """As `_inputs` of rmu_pdu_altpo.json words it: three alternates to one question, each a pair of its own."""
    random = np.random.RandomState(20261212)
    tables = {name: 2 * random.randn(3, T, V) for name in ("alternate", "alternate before")}
    tables |= {name: np.repeat(2 * random.randn(1, T, V), 3, 0) for name in ("forget", "forget before")}
    ya, yl = random.randint(0, V, size=(3, T)), np.repeat(random.randint(0, V, size=(1, T)), 3, 0)
    yr, retain = random.randint(0, V, size=(1, T)), 2 * random.randn(1, T, V)
    yl[:, :2] = yr[:, :3] = -100
    for row in range(3):
        ya[row, : 2 + row] = -100
    return {
        "forget": supervised(tables["forget"], tables["forget before"], yl),
        "alternate": supervised(tables["alternate"], tables["alternate before"], ya),
        "retain": supervised(retain, retain, yr),
    }


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_altpo_with_three_alternates_of_a_question_is_theirs(beta: float, alpha: float) -> None:
    objective = build_method("altpo", {"beta": beta, "retain_weight": alpha})
    value, _ = value_and_norms(objective, altpo_roles())
    theirs = golden("rmu_pdu_altpo")["altpo"][f"beta{beta}_alpha{alpha}"]
    assert value == pytest.approx(theirs["loss"], rel=1e-10) == theirs["formula"]


def test_ce_u_without_every_answer_s_first_token_is_their_default() -> None:
    theirs, t = figures("losses")["CEU_skip1_default"], roles()["forget"]
    kept = [n for n in range(1, len(t.sequences)) if t.sequences[n] == t.sequences[n - 1]]
    sequences = [t.sequences[n] for n in kept]
    later = Table(t.logits_NV[kept], t.reference_NV[kept], t.targets_N[kept], [1.0] * len(kept), sequences)
    value, norms = value_and_norms(build_method("ceu", {"retain": "none"}), {"forget": later})
    assert value == pytest.approx(theirs["loss"], rel=1e-10)
    assert norms["forget"] == pytest.approx(theirs["grad_l2"]["logits"], rel=1e-10)


def undial_inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = inputs(20240502, 131)
    return made["logits"], made["ref_logits"], made["labels"]


def test_undial_on_supervised_positions_is_their_variant() -> None:
    theirs = next(v for k, v in figures("losses").items() if k.startswith("UNDIAL"))
    objective = build_method("undial", {"beta": 10.0, "retain": "none"})
    value, _ = value_and_norms(objective, {"forget": supervised(*undial_inputs())})
    assert value == pytest.approx(theirs["variant_supervised_only"], rel=1e-10)


def test_undial_with_their_faults_is_their_figure() -> None:
    """All positions but the last, and token V − 100 demoted where a label is −100."""
    theirs = next(v for k, v in figures("losses").items() if k.startswith("UNDIAL"))
    logits, reference, labels = undial_inputs()
    targets = np.where(labels[:, 1:] == -100, logits.shape[-1] - 100, labels[:, 1:]).reshape(-1)
    z, q = (torch.from_numpy(x[:, :-1].reshape(len(targets), -1)) for x in (logits, reference))
    t = Table(z, q, torch.from_numpy(targets), [1.0] * len(targets), [0] * len(targets))
    value, norms = value_and_norms(build_method("undial", {"retain": "none"}), {"forget": t})
    assert value == pytest.approx(theirs["loss"], rel=1e-10)
    assert norms["forget"] == pytest.approx(theirs["grad_l2"]["logits"], rel=1e-10)


def test_kl_of_supervised_positions_is_their_variant() -> None:
    theirs = figures("losses")["KL_retain_only"]
    value, _ = value_and_norms(Objective(Term("retain", kl_from_reference)))
    assert value == pytest.approx(theirs["variant_supervised_positions_mean"], rel=1e-10)
    ga_kl = build_method("ga_kl", {"retain": "kl_from_reference"})
    ascent = figures("losses")["GradAscent"]["loss"]
    assert value_and_norms(ga_kl)[0] == pytest.approx(ascent + value, rel=1e-10)


@pytest.mark.parametrize(
    ("loss", "figure"), [(kl_from_reference, "loss"), (kl_to_reference, "variant_reverse_KL_all_positions")]
)
def test_both_directions_of_kl_are_theirs_on_all_positions(loss: Loss, figure: str) -> None:
    made = inputs()
    flat = [torch.from_numpy(made[n].reshape(B * T, V)) for n in ("retain_logits", "retain_ref_logits")]
    t = Table(flat[0], flat[1], torch.zeros(B * T, dtype=torch.long), [1.0] * (B * T), [0] * (B * T))
    value = loss_of(Objective(Term("retain", loss)), {"retain": t}).item()
    assert value == pytest.approx(figures("losses")["KL_retain_only"][figure], rel=1e-10)


def test_sums_by_row_are_theirs() -> None:
    t = roles()["forget"]
    signals = signals_of(Objective(Term("forget", nll)), "forget", t)
    sums = signals.sum_by_sequence(nll.compute(signals))
    theirs = figures("losses")["batch_nll_rows"]["value"]
    assert sums.tolist() == pytest.approx(theirs, rel=1e-10)
    summed = loss_of(Objective(Term("forget", nll, average="sequence_sum")), {"forget": t}).item()
    assert summed == pytest.approx(sum(theirs) / 3, rel=1e-10)


def test_token_and_row_means_are_told_apart() -> None:
    theirs = figures("traps")["token_mean_vs_row_mean"]
    logits = np.random.RandomState(5).randn(2, 9, 11)
    labels = np.full((2, 9), -100)
    labels[0, 7:], labels[1, 1:] = 3, 4
    t = supervised(logits, logits, labels)
    for average, figure in (("token", "token_mean"), ("sequence", "row_mean")):
        value = loss_of(Objective(Term("train", nll, average=average)), {"train": t}).item()  # type: ignore[arg-type]
        assert value == pytest.approx(theirs[figure], rel=1e-10)


def test_the_inverted_hinge_is_loku_s() -> None:
    theirs = figures("ihl")["IHL_V11"]
    objective = build_method("ihl", {"retain": "none"})
    value, norms = value_and_norms(objective)
    per_token = ihl.compute(signals_of(objective, "forget", roles()["forget"]))
    assert value == pytest.approx(theirs["loss"], rel=1e-10)
    assert per_token.tolist() == pytest.approx(theirs["per_token"], rel=1e-10)
    assert norms["forget"] == pytest.approx(theirs["grad_l2"], rel=1e-10)


def test_the_inverted_hinge_always_takes_the_softmax() -> None:
    """LoKU's code leaves it out where all logits happen to lie in 0 … 1."""
    random = np.random.RandomState(20240502)
    logits, labels = random.rand(3, 7, 11), random.randint(0, 11, size=(3, 7))
    labels[0, [0, 1, 2]] = labels[1, [0, 1, 6]] = labels[2, [0, 1, 2, 3]] = -100
    theirs = figures("ihl")["IHL_logits_all_in_0_1"]
    value = loss_of(Objective(Term("forget", ihl)), {"forget": supervised(logits, logits, labels)}).item()
    assert value == pytest.approx(theirs["formula_with_softmax"], rel=1e-10) != theirs["loss"]
