"""What a row costs is counted: equal to hand counts and to whole real steps, and it leaves the model as it was."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import MixtralConfig, MixtralForCausalLM, PreTrainedModel

from forgetting.data.batches import collate
from forgetting.models.adapters import AdapterSpec, attach, resolve_targets
from forgetting.models.adapters.fila import Fila
from forgetting.models.adapters.initialisation import Initialisation
from forgetting.models.adapters.targets import linear_layers
from forgetting.objectives.gradient_rules import build_gradient_rule
from forgetting.objectives.losses import dpo, nll
from forgetting.objectives.objective import Objective, Term
from forgetting.training.counter import counted
from forgetting.training.fisher import shape_of
from forgetting.training.importance import MeasuredFila, bytes_for
from forgetting.training.learner import Learner
from forgetting.training.reference import LiveReference
from forgetting.training.row_cost import RowCost, StageCost, Uncounted
from forgetting.training.row_counts import preparation_cost, stage_cost
from tests.models.tiny import tiny_model
from tests.training.making import (
    NOT_SUMS,
    OBJECTIVES,
    TRAIN,
    VOCAB,
    data_of,
    examples,
    not_a_sum,
    row_importance,
)

BODY = 2 * (3 * 32 * 48 + 2 * 32 * 32 + 2 * 32 * 16)
"""Weights of the tiny Llama's two layers: feed-forward, q and o, k and v of half as many heads."""
ATTENTION = 2 * 2 * 2 * 32
"""Two layers, two products (scores, values), two FLOPs, 32 = heads times their size: per pair of tokens."""
HEAD = 2 * 32 * VOCAB


def with_adapter(model: PreTrainedModel, kind: str, rank: int = 4) -> PreTrainedModel | PeftModel:
    """The model ready to train: `full`, `lora` or `fila`."""
    if kind == "full":
        return attach(model, AdapterSpec(kind="full"), name="unlearn", seed=0)
    spec = AdapterSpec(kind="lora", rank=rank, init=Fila() if kind == "fila" else Initialisation())
    layers = linear_layers(model)
    importance = {name: torch.rand(shape_of(layers[name])[0]) + 0.5 for name in resolve_targets(model, "all")}
    return attach(model, spec, name="unlearn", seed=0, prepared=importance)


def cost_of(model: nn.Module, objective: Objective, *, stored: bool = False) -> StageCost:
    cost = stage_cost(model, objective, data_of(*objective.roles), stored=stored)
    assert isinstance(cost, StageCost), cost
    return cost


def test_full_tuning_of_a_llama_is_six_flops_per_weight_and_token() -> None:
    cost = cost_of(with_adapter(tiny_model("llama"), "full"), TRAIN)
    assert cost.groups["train",].train == RowCost(6 * BODY, 3 * ATTENTION, 3 * HEAD)
    assert cost.forward == RowCost(2 * BODY, ATTENTION, HEAD)


def test_lora_makes_no_gradients_of_frozen_weights() -> None:
    rank, inputs, outputs = 4, 2 * (6 * 32 + 48), 2 * (3 * 32 + 2 * 16 + 2 * 48)
    adapter = 6 * rank * (inputs + outputs)
    first = 2 * (32 * 32 + 2 * 32 * 16) + 2 * rank * 3 * 32  # nothing before the first q, k and v wants a gradient
    cost = cost_of(with_adapter(tiny_model("llama"), "lora", rank), TRAIN).groups["train",].train
    assert cost == RowCost(4 * BODY + adapter - first, 3 * ATTENTION, 2 * HEAD)


def test_lora_costs_two_thirds_of_full_tuning_where_the_model_is_large_beside_it() -> None:
    wide: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 6, "head_dim": 64}
    full, lora = (cost_of(with_adapter(tiny_model("llama", **wide), k, 1), TRAIN) for k in ("full", "lora"))
    assert lora.groups["train",].train.token / full.groups["train",].train.token == pytest.approx(2 / 3, rel=0.03)


HIDDEN = [("llama", "full", "rmu"), ("gpt2", "lora", "rmu all")]
STEPS = [(f, k, n) for f in ("llama", "gpt2", "gemma2") for k in ("full", "lora", "fila") for n in ("token", "npo")]


def test_the_rows_that_are_differentiated_twice_cost_twice() -> None:
    model = with_adapter(tiny_model("llama"), "lora")
    once, ahead = (cost_of(model, not_a_sum(name)).groups for name in ("npo rectified", "npo flat"))
    assert ahead["forget",].train == once["forget",].train.times(2) and ahead["retain",] == once["retain",]
    assert ahead["forget",].reference == once["forget",].reference.times(2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("family", "kind", "name"),
    [*STEPS, ("llama", "lora", "kl_from"), *HIDDEN],
)
def test_the_rows_add_up_to_the_whole_real_step(family: str, kind: str, name: str) -> None:
    """Two micro-batches of two rows of each role, all of 9 tokens, 7 supervised: no padding to count."""
    objective, tokens, supervised = not_a_sum(name) if name in NOT_SUMS else OBJECTIVES[name], 9, 7
    model = with_adapter(tiny_model(family), kind)
    data = {role: examples(4, seed=i, shortest=tokens, longest=tokens) for i, role in enumerate(objective.roles)}
    batches = [
        collate({role: [(i, rows[i]) for i in members] for role, rows in data.items()}, pad_id=0)
        for members in ((0, 1), (2, 3))
    ]
    live = LiveReference(model, objective)
    learner = Learner(model, objective)

    def step() -> None:
        for batch in batches:
            denominators, weights = objective.denominators(batches), objective.weights(0, 1)
            reference = live(batch) if objective.needs_reference else {}
            learner(batch, weights=weights, denominators=denominators, reference=reference)[0].backward()

    expected = 0
    for cost in cost_of(model, objective).groups.values():
        for row, extra in ((cost.train, 0), (cost.reference, cost.compared)):
            if row is not None:
                expected += 4 * (row.token * tokens + row.pair * tokens**2 + (row.supervised + extra) * supervised)
    assert counted(step) == expected


def test_roles_that_reach_to_different_depths_in_one_pass_are_not_counted() -> None:
    cost = stage_cost(tiny_model("llama"), not_a_sum("rmu kl"), data_of("forget", "retain"))
    assert isinstance(cost, Uncounted) and cost.reason.startswith("one role uses hidden states")
    split = not_a_sum("rmu kl").with_gradients(build_gradient_rule("balanced"))
    assert isinstance(stage_cost(tiny_model("llama"), split, data_of("forget", "retain")), StageCost)


def test_a_sequence_longer_than_a_chunk_is_gone_through_twice() -> None:
    objective = OBJECTIVES["npo"]
    model = with_adapter(tiny_model("llama"), "lora")
    cost = cost_of(model, objective).groups["forget",]
    (row,) = examples(1, shortest=9, longest=9)
    batch = collate({"forget": [(0, row)]}, pad_id=0)
    theirs = LiveReference(model, objective)(batch)

    def flops(elements: int) -> int:
        learner = Learner(model, objective, elements=elements)
        return counted(lambda: learner(batch, weights=(1.0, 1.0), denominators=(1.0, 1.0), reference=theirs))

    assert cost.again == HEAD
    assert flops(2 * VOCAB) - flops(7 * VOCAB) == 7 * cost.again
    assert cost_of(model, OBJECTIVES["kl_from"]).groups["forget",].again == 0  # tokens by themselves are cut anywhere


def test_the_two_roles_of_pairs_are_counted_together() -> None:
    pairs = Objective(Term("forget", dpo(0.1), average="sequence", partner="alternate"), Term("retain", nll))
    model = with_adapter(tiny_model("llama"), "lora")
    paired, alone = cost_of(model, pairs), cost_of(model, OBJECTIVES["npo"])
    assert paired.groups["forget", "alternate"] == alone.groups["forget",]
    assert paired.groups["retain",] == alone.groups["retain",]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_importance_of_fila_is_counted_for_every_group_of_modules(family: str) -> None:
    model = tiny_model(family)
    modules = resolve_targets(model, "all")
    rows = examples(3, shortest=8, longest=8)
    layers = linear_layers(model)
    budget = max(bytes_for([shape_of(layers[name])]) for name in modules)
    costs = preparation_cost(model, MeasuredFila(budget=budget), modules)
    assert isinstance(costs, dict) and costs["forget"] == costs["retain"], costs
    cost = costs["forget"]
    whole = counted(lambda: row_importance(model, rows, rows, modules, pad_id=0, budget=budget))
    assert whole == 2 * 3 * (cost.token * 8 + cost.pair * 64 + cost.supervised * 6)
    assert preparation_cost(model, MeasuredFila(), modules) != costs  # fewer passes where there is room for all


def test_attention_kernels_that_the_counter_does_not_see_are_counted_all_the_same() -> None:
    fused = with_adapter(tiny_model("llama", attn_implementation="sdpa"), "full")
    (row,) = examples(1, shortest=9, longest=9)
    ids = torch.tensor([row.ids])
    assert counted(lambda: fused(ids)) < counted(lambda: tiny_model("llama")(ids))
    assert cost_of(fused, TRAIN) == cost_of(with_adapter(tiny_model("llama"), "full"), TRAIN)
    assert fused.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("kind", ["full", "lora", "fila"])
def test_counting_leaves_weights_gradients_modes_and_random_numbers_alone(kind: str) -> None:
    model = with_adapter(tiny_model("gpt2", attn_implementation="sdpa", resid_pdrop=0.1), kind)
    next(p for p in model.parameters() if p.requires_grad).grad = None
    next(iter(model.children())).train()
    modes = [module.training for module in model.modules()]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainable = [p.requires_grad for p in model.parameters()]
    state = torch.get_rng_state()
    cost_of(model, OBJECTIVES["npo"])
    preparation_cost(model, MeasuredFila(), resolve_targets(model, "all"))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())
    assert [p.requires_grad for p in model.parameters()] == trainable
    assert [module.training for module in model.modules()] == modes


def reason(model: nn.Module, longest: int = 12) -> str:
    cost = stage_cost(model, TRAIN, {"train": examples(1, shortest=longest, longest=longest)})
    assert isinstance(cost, Uncounted), cost
    return cost.reason


@pytest.mark.parametrize("family", ["mistral", "gemma3"])
def test_rows_longer_than_the_window_of_attention_are_not_counted(family: str) -> None:
    model = tiny_model(family, sliding_window=11)
    assert reason(model) == "attention has a window of 11 tokens and the longest row has 12"
    assert isinstance(stage_cost(model, TRAIN, {"train": examples(1, shortest=11, longest=11)}), StageCost)


def test_experts_that_are_chosen_by_token_are_not_counted() -> None:
    small: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    sizes = {**small, "num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": VOCAB}
    model = MixtralForCausalLM(MixtralConfig(**sizes, num_local_experts=4, sliding_window=None))
    assert "experts" in reason(model)


def test_a_cost_that_is_no_sum_of_tokens_and_pairs_is_not_counted() -> None:
    class Odd(nn.Module):
        """A layer whose work grows with the cube of the row's length."""

        def forward(self, x_BTD: torch.Tensor, *rest: Sequence[object]) -> torch.Tensor:
            scores = x_BTD @ x_BTD.mT
            return x_BTD + 0 * (scores @ scores).sum()

    model = tiny_model("llama")
    model.model.norm = Odd()
    assert reason(model) == "its cost is not a sum of tokens, their pairs and supervised positions"
