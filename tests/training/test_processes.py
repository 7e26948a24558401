"""Several processes take the same steps as one, whatever they share out, and whatever one of them lacks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch import Tensor

from forgetting.core.cache import Cache
from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.core.processes import first_then_others, rank
from forgetting.models.adapters import active_adapters, attach
from forgetting.models.adapters.spec import AdapterSpec
from forgetting.objectives.losses import Loss
from forgetting.objectives.objective import Objective, Term
from forgetting.runs.stage_result import Ending
from forgetting.training import prepared_model as trained
from forgetting.training import processes
from forgetting.training.loop import Trainer
from forgetting.training.reference import LiveReference, Reference, no_reference
from forgetting.training.stage import Hooks
from forgetting.training.stored_reference import store_reference
from tests.models.tiny import tiny_model
from tests.training.making import NOT_SUMS, OBJECTIVES, data_of, history, not_a_sum, settings
from tests.training.several import Several


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    several = Several(tmp_path_factory.mktemp("meeting") / "store")
    yield several
    several.end()


class Ended(NamedTuple):
    """What a stage left."""

    weights: dict[str, Tensor]
    losses: list[float]
    norms: list[float]
    terms: list[dict[str, float]]
    result: Ending


class StopHereError(Exception):
    """Stands for a kill that comes to all processes."""


def _opt() -> torch.nn.Module:
    """A model of a family whose head is not known."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "dropout": 0.0}
    config = transformers.OPTConfig(vocab_size=97, max_position_embeddings=64, word_embed_proj_dim=32, **sizes)
    return transformers.OPTForCausalLM(config).eval()


def train(folder: Path, name: str, how: dict[str, Any]) -> Ended:
    """A short stage of a tiny model; keys of `how` beside the settings: adapter, family, dtype, count, until."""
    asked = dict(how)
    until = asked.pop("until", None)
    adapter, family = asked.pop("adapter", None), asked.pop("family", "llama")
    dtype, count = getattr(torch, asked.pop("dtype", "float64")), asked.pop("count", 6)
    objective = not_a_sum(name) if name in NOT_SUMS else OBJECTIVES[name]
    data = data_of(*objective.roles, count=count, signed=name.startswith(("token", "sequence")))
    model = _opt() if family == "opt" else tiny_model(family, head_scale=0.3)
    model = model.to(dtype)
    reference: Reference = no_reference
    before = active_adapters(model)
    if adapter is None and objective.needs_reference:
        reference = first_then_others(
            lambda: store_reference(model, objective, data, Cache(folder / "references"), pad_id=0)
        )
    if adapter is not None:
        model = attach(model, AdapterSpec(**adapter), name="unlearn", seed=1).to(dtype)
        if objective.needs_reference:
            reference = LiveReference(model, objective, before)
    stage = settings(**{"batch_size": 4, "duration": "2 steps", "optimizer": "sgd", "learning_rate": 0.1, **asked})

    def stop(done: int, total: int, note: str) -> None:
        if done == until:
            raise StopHereError

    hooks = Hooks(progress=stop)
    job = Trainer(model, objective, data, stage, folder=folder, pad_id=0, seed=3, reference=reference, hooks=hooks)
    result = job.run()
    lines = history(folder)
    assert not hasattr(next(model.parameters()), "device_mesh"), "the model that comes back is a plain one"
    return Ended(
        {n: p.detach().clone() for n, p in model.named_parameters()},
        [line["loss"] for line in lines],
        [line["gradient_norm"] for line in lines],
        [line["terms"] for line in lines],
        result,
    )


def alike(one: Ended, other: Ended, bound: float) -> None:
    assert other.losses == pytest.approx(one.losses, rel=bound, abs=bound)
    assert other.norms == pytest.approx(one.norms, rel=bound, abs=bound)
    assert one.result.steps == other.result.steps and one.result.supervised_tokens == other.result.supervised_tokens
    for mine, theirs in zip(one.terms, other.terms, strict=True):
        assert theirs == pytest.approx(mine, rel=bound, abs=bound)
    for name, value in one.weights.items():
        torch.testing.assert_close(other.weights[name], value, rtol=0, atol=bound, msg=name)


LORA = {"kind": "lora", "rank": 4, "alpha": 8}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "one role": ("token", {}),
    "one role, sequences, four micro-batches": ("sequence", {"micro_batch_size": 1}),
    "two roles and stored ratios": ("npo", {}),
    "pairs": ("dpo", {"micro_batch_size": 2}),
    "stored distributions": ("kl_from", {}),
    "examples for one process only": ("npo", {"batch_size": 1, "duration": "4 steps"}),
    "three micro-batches": ("npo", {"batch_size": 3, "micro_batch_size": 1}),
    "packed": ("npo", {"packing": True, "micro_batch_size": 2}),
    "adamw, no limit of the norm": ("npo", {"optimizer": "adamw", "learning_rate": 1e-3, "max_grad_norm": None}),
    "tied weights": ("token", {"family": "gpt2"}),
    "a head that is not known": ("npo", {"family": "opt"}),
    "lora, examples for one process only": ("kl_from", {"adapter": LORA, "batch_size": 1}),
    "hidden states": ("rmu", {"micro_batch_size": 1, "batch_size": 3}),
    "hidden states, lora, live reference": ("rmu all", {"adapter": LORA, "micro_batch_size": 2}),
    "hidden states, a head that is not known": ("rmu kl", {"family": "opt", "batch_size": 1}),
    "rectified gradients": ("gru", {"duration": "3 steps", "micro_batch_size": 1, "batch_size": 3}),
    "rectified gradients, lora": ("npo rectified", {"adapter": LORA, "batch_size": 1}),
    "balanced gradients": ("balanced", {}),
    "a step ahead": ("npo flat", {"micro_batch_size": 1, "batch_size": 3}),
    "a step ahead, lora": ("npo flat", {"adapter": LORA}),
    "projected gradients": ("subspace", {"micro_batch_size": 2}),
    "collapsed gradients": ("selective", {"micro_batch_size": 2}),
    "popularity and its dual": ("adapop", {"micro_batch_size": 1, "duration": "4 steps"}),
    "a dual variable": ("pdu", {"micro_batch_size": 2, "duration": "3 steps"}),
    "lora, dropout": ("npo", {"adapter": {**LORA, "dropout": 0.3}, "micro_batch_size": 2, "count": 8}),
}


@pytest.mark.parametrize("sharding", ["none", "full"])
@pytest.mark.parametrize("case", CASES)
def test_the_step_is_that_of_one_process(case: str, sharding: str, two: Several, tmp_path: Path) -> None:
    name, how = CASES[case]
    one = train(tmp_path / "one", name, how)
    pair = two.run(train, tmp_path / "two", name, {**how, "sharding": sharding})
    for ended in pair:
        alike(one, ended, 1e-11)


@pytest.mark.parametrize("sharding", ["none", "full"])
@pytest.mark.parametrize("adapter", [None, LORA])
def test_in_single_precision_it_is_that_to_1e_5(
    adapter: dict[str, Any] | None, sharding: str, two: Several, tmp_path: Path
) -> None:
    how = {"dtype": "float32", "adapter": adapter, "batch_size": 5}
    one = train(tmp_path / "one", "npo", how)
    for ended in two.run(train, tmp_path / "two", "npo", {**how, "sharding": sharding}):
        alike(one, ended, 1e-5)


def started(folder: Path, name: str, how: dict[str, Any]) -> None:
    """The same, killed in the middle."""
    with pytest.raises(StopHereError):
        train(folder, name, {**how, "until": 3})


def rectified_from(folder: Path, how: dict[str, Any]) -> None:
    """A stage under a gradient rule, killed in the middle."""
    started(folder, "gru", how)


@pytest.mark.parametrize("first_two", [True, False])
def test_a_rule_s_state_goes_with_more_or_fewer_processes(first_two: bool, two: Several, tmp_path: Path) -> None:
    how = {"duration": "5 steps", "checkpoint_every": "2 steps", "count": 8, "sharding": "full"}
    whole = train(tmp_path / "whole", "gru", how)
    if first_two:
        two.run(rectified_from, tmp_path / "parts", how)
        ends = [train(tmp_path / "parts", "gru", how)]
    else:
        rectified_from(tmp_path / "parts", how)
        ends = two.run(train, tmp_path / "parts", "gru", how)
    for end in ends:
        alike(whole, end, 1e-11)


@pytest.mark.parametrize("sharding", ["none", "full"])
@pytest.mark.parametrize("adapter", [None, {**LORA, "dropout": 0.2}])
@pytest.mark.parametrize("first_two", [True, False])
def test_a_stage_goes_on_with_more_or_fewer_processes(
    first_two: bool, adapter: dict[str, Any] | None, sharding: str, two: Several, tmp_path: Path
) -> None:
    how = {"adapter": adapter, "duration": "5 steps", "checkpoint_every": "2 steps", "micro_batch_size": 2, "count": 8}
    how |= {"optimizer": "adamw", "learning_rate": 1e-3, "sharding": sharding}
    whole = train(tmp_path / "whole", "npo", how)
    if first_two:
        two.run(started, tmp_path / "parts", "npo", how)
        ends = [train(tmp_path / "parts", "npo", how)]
    else:
        started(tmp_path / "parts", "npo", how)
        ends = two.run(train, tmp_path / "parts", "npo", how)
    for end in ends:
        alike(whole, end, 1e-11)


def judged(folder: Path, sharding: str) -> tuple[Ending, float, list[int]]:
    """A stage whose processes measure differently: what it keeps, and a sum of its weights."""
    objective = OBJECTIVES["token"]
    model = tiny_model("llama", head_scale=0.3).double()
    seen: list[int] = []

    def evaluate(model: torch.nn.Module, *, step: int, epoch: float) -> list[Measure]:
        assert not model.training
        seen.append(step)
        own = {2: 0.5, 4: 0.9, 6: 0.1} if rank() == 0 else {2: 0.9, 4: 0.1, 6: 0.2}
        return [Measure(name="balance", split="all", value=own[step], count=1)]

    stage = settings(duration="6 steps", evaluate_every="2 steps", keep="best", sharding=sharding, learning_rate=1e-3)
    hooks = Hooks(evaluate=evaluate, score=lambda measures: measures[0].value)
    data = data_of("train", signed=True)
    result = Trainer(model, objective, data, stage, folder=folder, pad_id=0, seed=3, hooks=hooks).run()
    return result, sum(p.sum().item() for p in model.parameters()), seen


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_the_first_process_decides_which_weights_are_best(sharding: str, two: Several, tmp_path: Path) -> None:
    one, total, _ = judged(tmp_path / "one", sharding)
    for result, weights, seen in two.run(judged, tmp_path / "two", sharding):
        assert (result.kept_step, result.kept) == (4, one.kept) and weights == pytest.approx(total, abs=1e-9)
        assert seen == [2, 4, 6]


def reached(folder: Path) -> Ending:
    """A stage whose goal only the second process sees reached at first."""
    own = {1: False, 2: True, 3: True} if rank() == 0 else {1: True, 2: False, 3: True}

    def evaluate(model: torch.nn.Module, *, step: int, epoch: float) -> list[Measure]:
        return [Measure(name="reached", split="all", value=float(own[step]), count=1)]

    hooks = Hooks(evaluate=evaluate, reached=lambda measures: bool(measures[0].value))
    stage = settings(duration="3 steps", evaluate_every="1 step")
    model, data = tiny_model("llama", head_scale=0.3), data_of("train")
    return Trainer(model, OBJECTIVES["token"], data, stage, folder=folder, pad_id=0, seed=3, hooks=hooks).run()


def test_the_first_process_decides_when_the_goal_is_reached(two: Several, tmp_path: Path) -> None:
    assert [(r.steps, r.stopped) for r in two.run(reached, tmp_path)] == [(2, "goal")] * 2


def broken(folder: Path, sharding: str) -> Ending:
    """A stage whose loss is not a number from the third step on, in the second process only."""
    calls = 0

    def compute(signals: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return -signals.logp * (math.nan if rank() == 1 and calls > 2 else 1.0)

    objective = Objective(Term("train", Loss("broken", compute)))
    stage = settings(duration="5 steps", checkpoint_every="1 step", batch_size=2, sharding=sharding)
    model, data = tiny_model("llama", head_scale=0.3), data_of("train")
    return Trainer(model, objective, data, stage, folder=folder, pad_id=0, seed=3).run()


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_a_collapse_in_one_process_stops_all(sharding: str, two: Several, tmp_path: Path) -> None:
    for result in two.run(broken, tmp_path, sharding):
        assert (result.stopped, result.steps, result.kept_step) == ("collapse", 2, 1)
        assert result.message.startswith("step 3: the loss is nan")


def summed() -> tuple[list[Any], list[float]]:
    """Gradients of which one is in the first process only, one in both, one in none."""
    parameters = [torch.nn.Parameter(torch.zeros(2, 3, dtype=kind)) for kind in (torch.float32, torch.float64)]
    parameters.append(torch.nn.Parameter(torch.zeros(4)))
    if rank() == 0:
        parameters[0].grad = torch.full((2, 3), 2.0)
    parameters[1].grad = torch.full((3, 2), 0.5 + rank(), dtype=torch.float64).T
    processes.sum_gradients(parameters)
    grads = [None if p.grad is None else p.grad.unique().tolist() for p in parameters]
    return grads, processes.sums([0.1, float(rank())])


def test_a_gradient_that_one_process_lacks_is_the_other_s_and_one_that_none_has_stays_absent(two: Several) -> None:
    assert two.run(summed) == [([[2.0], [2.0], None], [0.2, 1.0])] * 2


def set_apart() -> list[float]:
    tensors = [torch.full((3, 2), float(rank())).T, torch.full((2,), 5 + rank())]
    processes.as_on_first(tensors)
    return [t.double().mean().item() for t in tensors]


def test_weights_that_differ_become_the_first_process_s(two: Several) -> None:
    assert two.run(set_apart) == [[0.0, 5.0]] * 2


def test_weights_in_four_bits_are_not_sharded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained, "count", lambda: 2)
    monkeypatch.setattr(trained, "as_on_first", lambda tensors: None)
    monkeypatch.setattr(trained, "has_quantised", lambda model: True)
    with pytest.raises(RecipeError, match="sharding: full cannot shard weights in 4 bits; write sharding: none"):
        trained.Trained(tiny_model("llama"), OBJECTIVES["token"], no_reference, sharded=True)
