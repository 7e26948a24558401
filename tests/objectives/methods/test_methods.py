"""Each method is the sum of terms that the table of the design states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

import forgetting
from forgetting.core.errors import RecipeError
from forgetting.objectives.methods import METHODS, build_method
from forgetting.objectives.objective import Objective
from tests.objectives.making import loss_of, table, with_gradient
from tests.objectives.oracle import log_probabilities


def terms(objective: Objective, step: int = 0, total: int = 5) -> list[tuple[str, str, float, str]]:
    weights = objective.weights(step, total)
    return [(t.role, t.loss.name, w, t.average) for t, w in zip(objective.terms, weights, strict=True)]


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("sft", {}, [("train", "nll", 1.0, "token")]),
        ("distil", {}, [("retain", "kl_from_reference", 1.0, "token")]),
        ("distil", {"loss": "js_to_reference"}, [("retain", "js_to_reference", 1.0, "token")]),
        ("sft", {"average": "sequence"}, [("train", "nll", 1.0, "sequence")]),
        ("ga", {}, [("forget", "nll", -1.0, "token")]),
        ("ga", {"forget_weight": 0.5, "average": "sequence_sum"}, [("forget", "nll", -0.5, "sequence_sum")]),
        ("graddiff", {"retain_weight": 0.5}, [("forget", "nll", -1.0, "token"), ("retain", "nll", 0.5, "token")]),
        ("graddiff", {"retain": "none"}, [("forget", "nll", -1.0, "token")]),
        ("ga_kl", {}, [("forget", "nll", -1.0, "token"), ("retain", "kl_to_reference", 1.0, "token")]),
        (
            "ga_kl",
            {"retain": "kl_from_reference"},
            [("forget", "nll", -1.0, "token"), ("retain", "kl_from_reference", 1.0, "token")],
        ),
        ("npo", {}, [("forget", "npo", 1.0, "sequence"), ("retain", "nll", 1.0, "token")]),
        ("npo", {"beta": 1.0, "retain": "none"}, [("forget", "npo", 1.0, "sequence")]),
        ("npo", {"level": "token", "retain": "none"}, [("forget", "npo", 1.0, "token")]),
        ("npo", {"level": "mean", "retain": "none"}, [("forget", "npo", 1.0, "sequence")]),
        ("simnpo", {}, [("forget", "npo", 0.125, "sequence"), ("retain", "nll", 1.0, "token")]),
        ("wga", {}, [("forget", "weighted_nll", -1.0, "token"), ("retain", "nll", 1.0, "token")]),
        ("satimp", {}, [("forget", "weighted_nll", -1.0, "token"), ("retain", "nll", 0.1, "token")]),
        ("wtnpo", {"retain": "none"}, [("forget", "weighted_nll", -1.0, "token")]),
        ("adapop", {}, [("forget", "weighted_nll", -1.0, "token"), ("retain", "nll", 0.5, "token")]),
        ("maxent", {}, [("forget", "kl_from_uniform", 1.0, "token"), ("retain", "nll", 1.0, "token")]),
        ("altpo", {"retain_weight": 2}, [("forget", "dpo", 1.0, "sequence"), ("retain", "nll", 2.0, "token")]),
        ("undial", {}, [("forget", "undial", 1.0, "token"), ("retain", "nll", 1.0, "token")]),
        ("undial", {"average": "sequence", "retain": "none"}, [("forget", "undial", 1.0, "sequence")]),
        ("ceu", {}, [("forget", "ceu", 1.0, "token"), ("retain", "nll", 1.0, "token")]),
        ("jensun", {}, [("forget", "js_to_target", 1.0, "sequence"), ("retain", "js_to_reference", 1.0, "token")]),
        ("jensun", {"target": "uniform", "retain": "none"}, [("forget", "js_to_uniform", 1.0, "token")]),
        ("idk", {"forget_weight": 2}, [("forget", "nll", 2.0, "sequence"), ("retain", "nll", 1.0, "token")]),
        ("dpo", {}, [("forget", "dpo", 1.0, "sequence"), ("retain", "nll", 1.0, "token")]),
        ("dpo", {"retain": "none", "scale": "open_unlearning"}, [("forget", "dpo", 1.0, "sequence")]),
        ("ihl", {}, [("forget", "ihl", 1.0, "token"), ("retain", "nll", 1.0, "token")]),
        ("forgetting", {"forget_weight": 0.1}, [("train", "nll", 1.0, "token"), ("train", "nll", -0.1, "token")]),
        ("ignoring", {}, [("train", "nll", 1.0, "token"), ("train", "nll", 0.0, "token")]),
        ("rmu", {}, [("forget", "steered", 1.0, "token"), ("retain", "kept_states", 1.0, "token")]),
        ("rmu", {"average": "sequence", "retain": "none"}, [("forget", "steered", 1.0, "sequence")]),
        ("gru", {"retain_weight": 0.5}, [("forget", "nll", -1.0, "token"), ("retain", "nll", 0.5, "token")]),
        ("pdu", {"dual": 3}, [("forget", "logit_margin", 1.0, "token"), ("retain", "nll", 3.0, "token")]),
        ("loku", {"forget_weight": 2}, [("forget", "ihl", 2.0, "token"), ("retain", "nll", 1.0, "token")]),
    ],
)
def test_the_terms_of_each_method(name: str, parameters: dict, expected: list) -> None:
    assert terms(build_method(name, parameters)) == expected


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        *[(name, -1) for name in ("ga", "graddiff", "ga_kl", "gru", "wga", "wtnpo", "adapop", "satimp")],
        *[(name, 1) for name in ("npo", "simnpo", "dpo", "altpo", "ihl", "loku", "maxent")],
        *[(name, 1) for name in ("undial", "ceu", "jensun", "rmu", "pdu", "idk")],
    ],
)
def test_every_forget_weight_can_be_scheduled(name: str, sign: int) -> None:
    objective = build_method(name, {"forget_weight": {"schedule": "linear", "start": 0, "end": 1}})
    assert [objective.weights(step, 5)[0] for step in (0, 2, 4)] == [0.0, sign * 0.5, sign * 1.0]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("npo", {"beta": 0}, "npo: beta is 0; it must be a positive number"),
        ("npo", {"beta": "big"}, "npo: beta is 'big'; it must be a positive number"),
        ("npo", {"beta": True}, "npo: beta is True; it must be a positive number"),
        ("npo", {"beta": float("nan")}, "npo: beta is nan; it must be a positive number"),
        ("npo", {"level": "tokens"}, "unknown level 'tokens'; did you mean 'token'"),
        ("dpo", {"beta": -1}, "dpo: beta is -1; it must be a positive number"),
        ("simnpo", {"beta": 0.0}, "simnpo: beta is 0.0; it must be a positive number"),
        ("simnpo", {"gamma": -1}, "simnpo: gamma is -1; it must be 0 or a positive number"),
        ("undial", {"beta": float("inf")}, "undial: beta is inf; it must be a positive number"),
        ("wga", {"beta": -0.5}, "wga: beta is -0.5; it must be 0 or a positive number"),
        ("adapop", {"b": -1}, "adapop: b is -1; it must be 0 or a positive number"),
        ("adapop", {"lowest": 3}, "adapop: lowest is 3, above highest"),
        ("adapop", {"period": 2}, "adapop: period is 2; it is a share of the steps, at most 1"),
        ("wtnpo", {"alpha": -1}, "wtnpo: alpha is -1; it must be 0 or a positive number"),
        ("wtnpo", {"beta": 0}, "wtnpo: beta is 0; it must be a positive number"),
        ("satimp", {"beta2": None}, "satimp: beta2 is None; it must be 0 or a positive number"),
        ("rmu", {"layer": -1}, "rmu: layer is -1; it must be a whole number from 0"),
        ("rmu", {"seed": 0.5}, "rmu: seed is 0.5; it must be a whole number from 0"),
        ("rmu", {"coefficient": 0}, "rmu: coefficient is 0; it must be a positive number"),
        ("rmu", {"retain": "state"}, "unknown retain loss 'state'"),
        ("rmu", {"positions": "al"}, "unknown positions 'al'; did you mean 'all'"),
        ("jensun", {"target": "refusals"}, "jensun: unknown target 'refusals'; did you mean 'refusal'"),
        ("dpo", {"scale": "open-unlearning"}, "unknown scale 'open-unlearning'; did you mean 'open_unlearning'"),
        ("ihl", {"retain": "nil"}, "unknown retain loss 'nil'; did you mean 'nll'"),
        ("ga", {"average": "tokens"}, "unknown average 'tokens'; did you mean 'token'"),
        ("ga", {"forget_weight": "much"}, "'much' is not a weight"),
    ],
)
def test_a_parameter_without_meaning_is_refused(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_method(name, parameters)


@pytest.mark.parametrize("name", [name for name in METHODS.names() if "retain" in METHODS.get(name).parameters])
def test_every_retain_loss_stands_beside_every_method(name: str) -> None:
    weight = {"dual" if name == "pdu" else "retain_weight": 0.5}
    for retain in ("nll", "kl_from_reference", "kl_to_reference", "js_to_reference"):
        assert terms(build_method(name, {"retain": retain, **weight}))[1:] == [("retain", retain, 0.5, "token")]
    if name not in {"gru", "pdu"}:  # which refuse it
        assert build_method(name, {"retain": "none"}).terms[1:] == ()


def test_what_needs_no_reference_asks_for_none() -> None:
    asking = {name for name in METHODS.names() if build_method(name).needs_reference}
    assert asking == {"altpo", "distil", "dpo", "ga_kl", "jensun", "npo", "rmu", "undial", "wtnpo"}


@pytest.mark.parametrize("target", ["refusal", "uniform"])
def test_jensun_pairs_questions_with_alternates_only_where_these_are_its_targets(target: str) -> None:
    objective = build_method("jensun", {"target": target})
    assert objective.partners == ({"forget": "alternate"} if target == "refusal" else {})


def test_idk_teaches_the_alternate_answer() -> None:
    assert build_method("idk", {"retain": "none"}).partners == {"forget": "alternate"}


@pytest.mark.parametrize("name", ["dpo", "altpo"])
def test_dpo_prefers_the_alternate_to_the_forget_answer(name: str) -> None:
    objective = build_method(name)
    assert objective.partners == {"forget": "alternate"} and objective.roles == ("forget", "alternate", "retain")


def test_the_brackets_of_wtnpo_are_those_of_tnpo_and_wga() -> None:
    """Without α its gradient is that of NPO by token; where p is p_ref, that of WGA."""

    def slope(name: str, parameters: dict, same: bool = False) -> torch.Tensor:
        t = table(seed=2)
        t = with_gradient(replace(t, reference_NV=t.logits_NV) if same else t)
        loss = loss_of(build_method(name, {"retain": "none", **parameters}), {"forget": t})
        return torch.autograd.grad(loss, t.logits_NV)[0]

    tnpo = slope("npo", {"level": "token", "beta": 0.5})
    torch.testing.assert_close(slope("wtnpo", {"alpha": 0, "beta": 0.5}), tnpo, rtol=1e-6, atol=1e-9)
    wga = slope("wga", {"beta": 0.8})
    torch.testing.assert_close(slope("wtnpo", {"alpha": 0.8, "beta": 0.5}, same=True), wga, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("step", [0, 7])
def test_forgetting_is_the_mean_loss_of_the_good_less_lambda_times_that_of_the_bad(step: int) -> None:
    """Forgetting, eq. 8, in float64 with gradients: each sign over its own weights; λ as written."""
    settings = {"schedule": "forgetting", "t_min": 0.01, "t_max": 0.25}
    ours, plain = (with_gradient(table(signed=True, seed=4)) for _ in range(2))
    actual = loss_of(build_method("forgetting", {"forget_weight": settings}), {"train": ours}, step=step, total=10)
    weights = torch.tensor(plain.weights, dtype=torch.float64)
    nll = -log_probabilities(plain.logits_NV)[torch.arange(len(weights)), plain.targets_N]
    good, bad = weights.clamp(min=0), (-weights).clamp(min=0)
    expected = (good * nll).sum() / good.sum() - 0.24 * step / 10 * (bad * nll).sum() / bad.sum()
    torch.testing.assert_close(actual.double(), expected, rtol=1e-6, atol=1e-7)
    slopes = [torch.autograd.grad(loss, t.logits_NV)[0] for loss, t in ((actual, ours), (expected, plain))]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-8)


def test_the_sweep_over_losses_has_every_method_that_forgets_given_data() -> None:
    sweep = yaml.safe_load((Path(forgetting.__file__).parent / "sweeps" / "lab-losses.yaml").read_text())
    points = [point["method"] for point in sweep["grid"]["method"].values()]
    names = {point if isinstance(point, str) else point["name"] for point in points}
    assert names == {name for name in METHODS.names() if "forget" in build_method(name).roles}
