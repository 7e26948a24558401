"""Relative changes and stable ranks are those of singular values of whole matrices in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.weights import movements
from forgetting.core.errors import ModelError
from forgetting.models.adapters import AdapterSpec, attach, linear_layers
from forgetting.models.adapters.lora import effective_weight
from forgetting.models.view import View
from tests.models.adapters.stages import stir
from tests.models.adapters.test_targets import mixture
from tests.models.tiny import tiny_model, tiny_tokenizer


def compared(before: View, after: View, **changed: object) -> Compared:
    return Compared(before=before, after=after, tokenizer=tiny_tokenizer(), **changed)  # type: ignore[arg-type]


def whole(model: nn.Module) -> dict[str, Tensor]:
    """Every matrix `[out, in]`, float64, adapters added."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    found = {name: effective_weight(layer).double() for name, layer in linear_layers(model).items()}  # type: ignore[arg-type]
    names = {id(module): name for name, module in plain.named_modules()}
    ends = [plain.get_input_embeddings(), plain.get_output_embeddings()]  # type: ignore[operator]
    ends = ends[:1] if ends[0].weight is ends[1].weight else ends
    return {**{names[id(end)]: end.weight.detach().double() for end in ends}, **found}


def check(found: Compared, start: dict[str, Tensor], end: dict[str, Tensor]) -> None:
    moved = {m.name: m for m in movements(found)}
    assert set(moved) == set(start)
    for name, m in moved.items():
        change = end[name] - start[name]
        values = torch.linalg.svdvals(change)
        assert m.size == pytest.approx(float(start[name].square().sum()), rel=1e-5)
        assert m.change == pytest.approx(float(values.square().sum()), rel=2e-4, abs=1e-12)
        if float(values[0]) > 1e-9:
            assert m.stable_rank == pytest.approx(float(values.square().sum() / values[0] ** 2), rel=1e-3)
            assert m.relative == pytest.approx(float(change.norm() / start[name].norm()), rel=2e-4)
        else:
            assert m.stable_rank is None and m.relative == 0.0


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_of_two_models(family: str) -> None:
    before = tiny_model(family)
    after = copy.deepcopy(before)
    stir(after)
    check(compared(View(before), View(after)), whole(before), whole(after))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_of_an_adapter_by_its_factors_and_of_one_adapter_against_two(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tiny_model(family)
    start = whole(plain)
    model = attach(plain, AdapterSpec(rank=3, alpha=5, targets="all"), name="one", seed=0)
    stir(model)
    middle = whole(model)
    model = attach(model, AdapterSpec(rank=2, alpha=9, targets="ffn"), name="two", seed=1)
    stir(model)
    end = whole(model)
    monkeypatch.setattr("forgetting.analysis.weights.top_singular", None)  # no whole matrix is decomposed
    check(compared(View(model), View(model, ("one", "two"))), start, end)
    check(compared(View(model, ("one",)), View(model, ("one", "two"))), middle, end)


def test_against_an_oracle_of_its_own_weights() -> None:
    model = attach(tiny_model("llama"), AdapterSpec(rank=3, targets="qv"), name="one", seed=0)
    stir(model)
    oracle = tiny_model("llama", seed=5)
    found = compared(View(model), View(model, ("one",)), oracle=View(oracle), against="oracle")
    check(found, whole(oracle), whole(model))


def test_a_change_of_rank_one_has_stable_rank_one_and_kinds_are_summed_over_layers() -> None:
    before = tiny_model("llama")
    after = copy.deepcopy(before)
    for number in range(2):
        weight = after.model.layers[number].self_attn.q_proj.weight
        weight.data += torch.outer(torch.arange(weight.shape[0]).float(), torch.ones(weight.shape[1])) * (1 + number)
    found = ANALYSES.build("weights")(compared(View(before), View(after)))
    measures = {m.key: m for m in found.measures}
    ranks = measures["self_attn.q_proj/stable_rank"]
    assert (ranks.value, ranks.count) == (pytest.approx(1.0, abs=1e-4), 2)
    both = [[m.model.layers[i].self_attn.q_proj.weight.detach().double() for i in range(2)] for m in (before, after)]
    change = math.sqrt(sum(float((a - b).square().sum()) for b, a in zip(*both, strict=True)))
    size = math.sqrt(sum(float(b.square().sum()) for b in both[0]))
    assert measures["self_attn.q_proj/relative_change"].value == pytest.approx(change / size, rel=1e-5)
    still = measures["mlp.up_proj/stable_rank"]
    assert (still.value, still.count, still.reason) == (None, 0, "no matrix moved")
    assert measures["all/stable_rank"].count == 2
    line = next(s for s in found.series if (s.figure, s.name) == ("relative_change", "self_attn.q_proj"))
    assert line.x == (0.0, 1.0) and line.y[1] > line.y[0] > 0  # type: ignore[operator]
    assert not any(s.name == "model.embed_tokens" for s in found.series)


def test_models_of_other_shapes_are_refused() -> None:
    with pytest.raises(ModelError, match="have different matrices"):
        list(movements(compared(View(tiny_model("llama")), View(tiny_model("gpt2")))))


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_experts_that_are_fused_move_too(family: str) -> None:
    before = mixture(family)
    after = copy.deepcopy(before)
    experts = dict(after.named_parameters())["model.layers.1.mlp.experts.down_proj"]
    with torch.no_grad():
        experts[2].add_(0.1 * torch.outer(torch.randn(experts.shape[1]), torch.randn(experts.shape[2])))
    moved = {m.name: m for m in movements(compared(View(before), View(after)))}
    changed = {name for name, m in moved.items() if m.change}
    assert changed == {"model.layers.1.mlp.experts.down_proj[2]"}
    (one,) = (moved[name] for name in changed)
    own = dict(before.named_parameters())["model.layers.1.mlp.experts.down_proj"][2]
    assert one.relative == pytest.approx(float((experts[2] - own).norm() / own.norm()), rel=1e-4)
    assert one.stable_rank == pytest.approx(1.0, rel=1e-3) and one.layer == 1 and one.kind == "experts.down_proj"
    matrices = sum(m.size for m in moved.values())
    whole = sum(float(p.detach().square().sum()) for p in before.parameters() if p.dim() > 1)
    assert matrices == pytest.approx(whole, rel=1e-5)
