"""Every method's step is that of its formula on whole logits, however the vocabulary head is cut into chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.data.plan import split
from forgetting.objectives.methods import METHODS, build_method
from tests.models.tiny import tiny_model
from tests.objectives import oracle
from tests.objectives.making import Table
from tests.training.making import VOCAB, CopyReference, apart, batches_of, data_of, step_of

COUNT = 5
PICKS = list(range(COUNT))


def mean(loss: str, t: Table, average: str = "token") -> Tensor:
    values_N = oracle.token_values(loss, t.logits_NV, t.targets_N, t.reference_NV)
    return oracle.averaged(values_N, t.weights, t.sequences, average, 1)


def whole(t: Table) -> tuple[Tensor, Tensor, Tensor, list[int], list[float]]:
    return t.logits_NV, t.reference_NV, t.targets_N, t.sequences, t.weights


Formula = Callable[[Mapping[str, Table]], Tensor]


def forget(loss: str, weight: float = 1.0, average: str = "token") -> Formula:
    return lambda roles: weight * mean(loss, roles["forget"], average)


def of_npo(roles: Mapping[str, Table]) -> Tensor:
    t = roles["forget"]
    return oracle.npo(t.logits_NV, t.reference_NV, t.targets_N, t.sequences, 0.1)


def of_simnpo(roles: Mapping[str, Table]) -> Tensor:
    t = roles["forget"]
    return 0.125 * oracle.simnpo(t.logits_NV, t.targets_N, t.sequences, 4.5, 0.5)


def of_rmu(alpha: float) -> Formula:
    """By plain loops over tokens and over entries of their states; α 0: the forget half."""

    def formula(roles: Mapping[str, Table]) -> Tensor:
        forget, retain = (roles[r].states_ND for r in ("forget", "retain"))
        before = roles["retain"].reference_states_ND
        assert forget is not None and retain is not None and before is not None
        u = torch.rand(forget.shape[1], generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        target = 3 * u / u.square().sum().sqrt()
        pairs = list(zip(retain, before, strict=True))
        away = [sum((h - t) ** 2 for h, t in zip(row, target, strict=True)) / len(target) for row in forget]
        near = [sum((h - t) ** 2 for h, t in zip(row, their, strict=True)) / len(their) for row, their in pairs]
        return sum(away) / len(away) + alpha * sum(near) / len(near)  # type: ignore[return-value]

    return formula


def of_pdu(roles: Mapping[str, Table]) -> Tensor:
    z = roles["forget"].logits_NV
    return torch.stack([(row.max() - row.mean()) ** 2 for row in z]).mean()


def of_adapop(roles: Mapping[str, Table]) -> Tensor:
    """By a plain loop over tokens; the popularity of example i is that of `examples`."""
    t = roles["forget"]
    log_p = oracle.statistic("logp", t.logits_NV, t.targets_N)
    betas = [min(max(50 * (30.0 * (s + 1) ** 2) ** -0.8, 0.1), 1.5) for s in t.sequences]
    assert len(set(betas)) == 5 and 1.5 in betas
    return sum(x.exp().detach() ** beta * x for x, beta in zip(log_p, betas, strict=True)) / len(betas)


RMU = {"layer": 0, "coefficient": 3.0, "seed": 5}


@dataclass(frozen=True)
class Case:
    formula: Formula
    parameters: Mapping[str, object] = field(default_factory=dict)
    retain: tuple[str, float] | None = ("nll", 1.0)
    method: str = ""


CASES = {
    "ga": Case(forget("nll", -1.0), retain=None),
    "graddiff": Case(forget("nll", -0.5, "sequence"), {"forget_weight": 0.5, "average": "sequence"}),
    "ga_kl": Case(forget("nll", -1.0), retain=("kl_to_reference", 1.0)),
    "npo": Case(of_npo),
    "npo token": Case(forget("npo 0.5"), {"level": "token", "beta": 0.5}),
    "simnpo": Case(of_simnpo, {"gamma": 0.5}),
    "dpo": Case(lambda roles: oracle.dpo(whole(roles["forget"]), whole(roles["alternate"]), 0.1)),
    "undial": Case(forget("undial 10")),
    "undial 3": Case(forget("undial 3", 2.0, "sequence"), {"beta": 3, "forget_weight": 2, "average": "sequence"}),
    "ceu": Case(forget("ceu"), {"retain": "none"}, None),
    "wga": Case(forget("weighted_nll 1 0", -1.0)),
    "adapop": Case(of_adapop, {"a": 50, "b": 0.8, "lowest": 0.1, "highest": 1.5}, ("nll", 0.5)),
    "satimp": Case(forget("weighted_nll 5 1", -1.0), retain=("nll", 0.1)),
    "wtnpo": Case(forget("weighted_nll 0.7 0 0.3", -1.0), {"alpha": 0.7, "beta": 0.3}),
    "maxent": Case(forget("kl_from_uniform", 2.0, "sequence"), {"forget_weight": 2, "average": "sequence"}),
    "altpo": Case(lambda roles: oracle.dpo(whole(roles["forget"]), whole(roles["alternate"]), 0.1, 20.0)),
    "idk": Case(lambda roles: 3 * mean("nll", roles["alternate"], "sequence"), {"forget_weight": 3}),
    "jensun": Case(lambda roles: mean("js_to_target", roles["alternate"], "sequence"), retain=("js_to_reference", 1.0)),
    "jensun uniform": Case(forget("js_to_uniform"), {"target": "uniform"}, ("js_to_reference", 1.0)),
    "ihl": Case(forget("ihl"), {"retain": "js_to_reference", "retain_weight": 3.0}, ("js_to_reference", 3.0)),
    "loku": Case(forget("ihl")),
    "rmu": Case(of_rmu(2.0), {**RMU, "retain_weight": 2.0}, None),
    "rmu nll": Case(of_rmu(0.0), {**RMU, "retain": "nll", "retain_weight": 0.5}, ("nll", 0.5)),
    "rmu kl": Case(of_rmu(0.0), {**RMU, "retain": "kl_from_reference"}, ("kl_from_reference", 1.0)),
    "gru": Case(forget("nll", -2.0), {"forget_weight": 2.0}),
    "pdu": Case(of_pdu, {"dual": 7.0}, ("nll", 7.0)),
}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return tiny_model("gpt2", head_scale=0.3, dtype=torch.float64)


def expected_of(case: Case, model: nn.Module, other: nn.Module, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """The formula on the models' whole logits."""
    model = copy.deepcopy(model)
    inputs = {"input_ids": batch.input_ids_BT, "attention_mask": batch.attention_mask_BT}

    def seen(of: nn.Module) -> tuple[Tensor, Tensor]:
        answer = of(**inputs, output_hidden_states=True)
        return answer.logits.flatten(0, 1)[batch.sources_N], answer.hidden_states[1].flatten(0, 1)[batch.sources_N]

    logits_NV, states_ND = seen(model)
    with torch.no_grad():
        reference_NV, their_states_ND = seen(other)
    roles = {}
    for role, span in batch.roles.items():
        here = span.tokens
        sequences = (batch.sequences_N[here] - span.sequences.start).tolist()
        weights = batch.weights_N[here].tolist()
        roles[role] = Table(
            logits_NV[here],
            reference_NV[here],
            batch.targets_N[here],
            weights,
            sequences,
            states_ND[here],
            their_states_ND[here],
        )
    total = case.formula(roles)
    if case.retain is not None:
        total = total + case.retain[1] * mean(case.retain[0], roles["retain"])
    total.backward()
    return total.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_every_method_on_forget_data_is_here() -> None:
    known = {name for name in METHODS.names() if "forget" in build_method(name).roles}
    assert {name.split()[0] for name in CASES} == known


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_its_formula_on_whole_logits_however_it_is_cut(name: str, model: nn.Module) -> None:
    case = CASES[name]
    assert METHODS.get(name.split()[0]).build.__doc__
    objective = build_method(name.split()[0], case.parameters)
    data = data_of(*objective.roles, count=COUNT)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1.2)
    reference = CopyReference(other, objective)
    picks = dict.fromkeys(objective.roles, PICKS)
    loss, slopes = expected_of(case, model, other, batches_of(data, [picks])[0])
    for elements in (VOCAB, 4 * VOCAB, 2**25):
        for parts in (1, 3):
            batches = batches_of(data, split(picks, parts))
            found_loss, _, found = step_of(model, objective, batches, reference, elements=elements)
            assert found_loss == pytest.approx(loss, rel=1e-7)
            assert apart(found, slopes) <= 1e-7
