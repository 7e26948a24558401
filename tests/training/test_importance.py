"""FILA's importance is the same however many matrices are in memory, and an interruption loses only the last group."""

import weakref
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from forgetting.core.cache import Cache
from forgetting.core.errors import DataError, ModelError
from forgetting.data.encode import Encoded
from forgetting.models.adapters import AdapterSpec, attach, linear_layers, resolve_targets
from forgetting.models.adapters.fila import row_weights
from forgetting.training.fisher import fisher, shape_of
from forgetting.training.importance import (
    bytes_for,
    default_budget,
    groups_of,
)
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model
from tests.training.making import row_importance
from tests.training.test_fisher import batch_of, brute_force, rows, small_model

ALL = 2**30
LAYER = 4 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48) + 12 * 32 * 48
"""Bytes for one of the tiny Llama's two layers at a time: q, o; k, v; three of the feed-forward; and the largest."""


def encoded(sequences: Sequence[list[int]], prompt: int = 2) -> list[Encoded]:
    """All tokens after the first `prompt` are supervised."""
    return [
        Encoded(str(i), tuple(ids), (0.0,) * prompt + (1.0,) * (len(ids) - prompt)) for i, ids in enumerate(sequences)
    ]


FORGET, RETAIN = encoded(rows(1)), encoded(rows(2, (6, 11, 8)))


def importance(model: PreTrainedModel, **keywords: Any) -> dict[str, Tensor]:
    """Of all matrices, unless told otherwise."""
    given = {"modules": resolve_targets(model, "all"), "forget": FORGET, "retain": RETAIN, "pad_id": 0} | keywords
    return row_importance(model, given.pop("forget"), given.pop("retain"), given.pop("modules"), **given)


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "qwen2"])
@pytest.mark.parametrize("epsilon", ["relative", "released", 1e-3])
def test_it_is_the_root_of_the_row_sums_of_the_relative_information(family: str, epsilon: Any) -> None:
    model = small_model(family).double()
    modules = resolve_targets(model, "all")
    actual = importance(model, epsilon=epsilon, budget=ALL)
    assert list(actual) == list(modules)
    one_group = [fisher(model, [batch_of(sequences)], modules) for sequences in (rows(1), rows(2, (6, 11, 8)))]
    exact = [brute_force(model, sequences, modules) for sequences in (rows(1), rows(2, (6, 11, 8)))]
    for name, w in actual.items():
        assert w.dtype == torch.float64
        torch.testing.assert_close(w, row_weights(one_group[0][name], one_group[1][name], epsilon), rtol=2e-6, atol=0)
        torch.testing.assert_close(w, row_weights(exact[0][name], exact[1][name], epsilon), rtol=1e-3, atol=0)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_budget_changes_no_bit(family: str) -> None:
    model = small_model(family)
    largest = max(bytes_for([shape_of(layer)]) for layer in linear_layers(model).values())
    at_once, one_by_one, some = (importance(model, budget=budget) for budget in (ALL, largest, 2 * largest))
    assert all(torch.equal(at_once[name], one_by_one[name]) for name in at_once)
    assert all(torch.equal(at_once[name], some[name]) for name in at_once)


def test_weights_of_a_group_stay_within_the_budget_and_no_group_could_be_saved() -> None:
    shapes = {f"m{i}": (8, 4 + i) for i in range(7)}
    for budget in (16 * 8 * 10, 2_000, 3_000, 10**6):
        groups = groups_of(shapes, budget)
        assert [name for group in groups for name in group] == list(shapes)
        assert all(bytes_for([shapes[name] for name in group]) <= budget for group in groups)
        for group, after in pairwise(groups):
            assert bytes_for([shapes[name] for name in (*group, after[0])]) > budget
    with pytest.raises(ModelError, match=r"m6: its importance takes 1,280 bytes, and 1,279 are allowed"):
        groups_of(shapes, 16 * 8 * 10 - 1)


def test_what_it_will_take_is_said_before_it_begins_and_progress_is_in_examples() -> None:
    said: list[str] = []
    seen: list[tuple[int, int, str]] = []
    importance(
        tiny_model("llama"),
        budget=LAYER,
        say=lambda line: said.append(f"{len(seen)} {line}"),
        progress=lambda done, total, note: seen.append((done, total, note)),
    )
    assert said == ["0 importance: 14 matrices, 2 passes × 5 forget + 3 retain examples, 0.00 GiB at a time"]
    assert [done for done, _, _ in seen] == [3, 8, 11, 16]
    assert {total for _, total, _ in seen} == {16}
    assert seen[-1][2] == "importance, pass 2 of 2"


class Killed(BaseException):
    """Not an error that anything would catch."""


def interrupted(model: PreTrainedModel, cache: Cache, at: int = 14, **keywords: Any) -> None:
    def progress(done: int, total: int, note: str) -> None:
        if done >= at:
            raise Killed

    with pytest.raises(Killed):
        importance(model, budget=LAYER, cache=cache, progress=progress, **keywords)


def test_after_a_kill_finished_groups_are_found_again_with_the_same_bits(tmp_path: Path) -> None:
    expected = importance(tiny_model("llama"), budget=LAYER)
    cache = Cache(tmp_path)
    interrupted(tiny_model("llama"), cache)
    said: list[str] = []
    actual = importance(tiny_model("llama"), budget=LAYER, cache=cache, say=said.append)
    (groups,) = tmp_path.glob("*/parts")
    assert said[0] == f"initialisation: 7 of 14 matrices found in {groups}"
    assert said[1].startswith("importance: 7 matrices, 1 pass ×")
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], w) for name, w in expected.items())
    seen: list[int] = []
    again = importance(tiny_model("llama"), cache=cache, progress=lambda done, total, note: seen.append(done))
    assert not seen
    assert all(torch.equal(again[name], w) for name, w in expected.items())


@pytest.mark.parametrize("what", ["epsilon", "forget", "retain", "modules", "weights", "adapters"])
def test_what_was_computed_of_something_else_is_not_used(what: str, tmp_path: Path) -> None:
    model = tiny_model("llama")
    keywords: dict[str, Any] = {
        "epsilon": {"epsilon": "released"},
        "forget": {"forget": FORGET[:-1]},
        "retain": {"retain": encoded(rows(3))},
        "modules": {"modules": resolve_targets(model, "qvffn")},
    }.get(what, {})
    interrupted(model, Cache(tmp_path))
    if what == "weights":
        with torch.no_grad():
            model.model.norm.weight[0] += 1e-3
    if what == "adapters":
        model = attach(model, AdapterSpec(rank=2, targets="qv"), name="first", seed=0)
        stir(model)
        keywords = {"modules": resolve_targets(model, "all")}
    expected = importance(model, **keywords)
    actual = importance(model, cache=Cache(tmp_path), **keywords)
    assert all(torch.equal(actual[name], w) for name, w in expected.items())


@pytest.mark.parametrize("finished", [False, True])
def test_a_damaged_file_is_reported_and_computed_again(finished: bool, tmp_path: Path) -> None:
    expected, said = importance(tiny_model("llama")), []
    if finished:
        importance(tiny_model("llama"), cache=Cache(tmp_path))
    else:
        interrupted(tiny_model("llama"), Cache(tmp_path))
    (file,) = tmp_path.rglob("rows.safetensors")
    file.write_bytes(b"\x00" * 20)
    actual = importance(tiny_model("llama"), cache=Cache(tmp_path), say=said.append)
    assert "rows.safetensors" in said[0] and "computing it again" in said[0]
    assert all(torch.equal(actual[name], w) for name, w in expected.items())


def test_it_leaves_weights_and_gradients_alone() -> None:
    model = tiny_model("gpt2")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    importance(model)
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())


def test_an_epsilon_below_what_fp32_holds_gives_no_nan() -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[:, 5] = 0  # unit 5 reaches nothing: F is 0 in its rows
    w = importance(model, epsilon=1e-60)["model.layers.0.mlp.up_proj"]
    assert torch.isfinite(w).all() and w[5] == 0 and w[6] > 0


def test_a_role_without_examples_is_named() -> None:
    for role in ("forget", "retain"):
        with pytest.raises(DataError, match=rf"adapter\.init reads {role} data, .*; write data\.{role}=…"):
            importance(tiny_model("llama"), **{role: []})


def test_without_a_budget_a_quarter_of_the_machine_is_taken() -> None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        pytest.skip("Linux tells its memory here")
    kib = next(int(line.split()[1]) for line in meminfo.read_text().splitlines() if line.startswith("MemTotal"))
    assert default_budget(torch.device("cpu")) == pytest.approx(kib * 1024 / 4, rel=0.01)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_cuda_device_half_of_what_is_free_is_taken() -> None:
    free, total = torch.cuda.mem_get_info()
    assert 0.9 * free / 2 <= default_budget(torch.device("cuda")) <= total / 2


class Bytes(TorchDispatchMode):
    """The bytes of tensors on the meta device, which has no data: a number asked of it is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.alive: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 1
        if func is torch.ops.aten._to_copy.default and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.ones(args[0].shape)
        output = func(*args, **(kwargs or {}))
        for tensor in tree_iter(output):
            if isinstance(tensor, Tensor) and tensor.is_meta:
                self._count(tensor.untyped_storage())
        return output

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def gone(_: weakref.ref) -> None:
            self.alive.pop(key)
            self.now -= size

        if key not in self.alive:
            self.alive[key] = weakref.ref(storage, gone)
            self.now += size
            self.peak = max(self.peak, self.now)


def llama_3_8b() -> PreTrainedModel:
    """The shapes of Llama-3-8B in bfloat16, without data."""
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4_096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8_192,
    )
    with torch.device("meta"):
        return LlamaForCausalLM(config).to(torch.bfloat16)


@pytest.mark.parametrize(("card", "passes"), [(80e9, 1), (48e9, 2), (24e9, 9)])
def test_half_of_what_an_8b_model_leaves_free_holds_its_matrices_in_few_passes(card: float, passes: int) -> None:
    model = llama_3_8b()
    weights = sum(2 * p.numel() for p in model.parameters())
    assert weights == 16_060_522_496
    shapes = {name: shape_of(layer) for name, layer in linear_layers(model).items()}
    assert len(shapes) == 224 and bytes_for(list(shapes.values())) == 28_621_930_496
    budget = int(card - weights) // 2
    groups = groups_of(shapes, budget)
    assert len(groups) == passes
    assert max(bytes_for([shapes[name] for name in group]) for group in groups) <= budget


def test_an_8b_model_and_its_importance_fit_an_80_gb_card() -> None:
    """All 224 matrices at once, with the graph of a row of 1,024 tokens, counted over every tensor that is made."""
    model = llama_3_8b()
    row = [Encoded("long", (5,) * 1024, (0.0,) + (1.0,) * 1023)]
    weights = sum(2 * p.numel() for p in model.parameters())
    with Bytes() as counted:
        row_importance(model, row, row, resolve_targets(model, "all"), pad_id=0, budget=int(80e9 - weights) // 2)
    beside_weights = counted.peak - counted.now  # at the end only weights are left
    assert bytes_for([shape_of(layer) for layer in linear_layers(model).values()]) < beside_weights
    assert weights + beside_weights < 60e9
