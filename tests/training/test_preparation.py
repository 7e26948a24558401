"""What an initialisation computes from data is read within its limit, complete, and stored by name and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from forgetting.core.cache import Cache
from forgetting.core.errors import DataError, ModelError, RecipeError
from forgetting.models.adapters import (
    AdapterSpec,
    Initialisation,
    InitialisationData,
    Start,
    attach,
    build_initialisation,
    linear_layers,
    resolve_targets,
)
from forgetting.models.adapters.lora import lora_layers
from forgetting.training.fisher import fisher
from forgetting.training.preparation import prepare
from forgetting.training.row_cost import RowCost
from forgetting.training.row_counts import preparation_cost
from tests.models.adapters.stages import logits, worst
from tests.models.tiny import tiny_model
from tests.training.making import examples


class Sensitive(Initialisation):
    """A₀ is the row of the weight that the forget set is most sensitive to; B₀ picks it."""

    roles = ("forget",)
    limit = 2
    subtract = True

    def __init__(self) -> None:
        self.seen: list[int] = []

    def prepare(self, model: Any, modules: Sequence[str], data: InitialisationData) -> Iterator[Mapping[str, Tensor]]:
        self.seen.append(len(data.examples["forget"]))
        yield {n: f.sum(1) for n, f in fisher(model, data.batches("forget"), modules).items()}

    def start(self, module: str, weight: Tensor, prepared: Tensor | None, **keywords: Any) -> Start:
        assert prepared is not None
        row, rank = int(prepared.argmax()), keywords["rank"]
        b, a = torch.zeros(len(weight), rank), torch.zeros(rank, weight.shape[1])
        b[row, 0], a[0] = 1.0 / keywords["scaling"], weight[row]
        return Start(b, a)


FORGET = {"forget": examples(5)}
MODULES = tuple(resolve_targets(tiny_model("llama"), "qv"))


def test_only_the_examples_within_the_limit_are_read_and_progress_is_reported() -> None:
    seen: list[tuple[int, int]] = []
    init = Sensitive()
    data = InitialisationData(FORGET, 0, progress=lambda done, total, note: seen.append((done, total)))
    found = prepare(init, tiny_model("llama"), MODULES, data)
    assert init.seen == [2] and seen[-1] == (2, 2)
    assert tuple(found) == MODULES


def test_the_start_stands_in_the_adapter_and_is_subtracted_beside_it() -> None:
    model = tiny_model("llama")
    plain, weights = logits(model), {n: linear_layers(model)[n].weight.detach().clone() for n in MODULES}
    prepared = prepare(Sensitive(), model, MODULES, InitialisationData(FORGET, 0))
    adapted = attach(model, AdapterSpec(rank=2, targets="qv", init=Sensitive()), name="x", seed=0, prepared=prepared)
    assert worst(logits(adapted), plain) <= 1e-6
    for name, layer in lora_layers(adapted, "x").items():
        row = int(prepared[name].argmax())
        torch.testing.assert_close(layer.get_delta_weight("x")[row], weights[name][row])


def test_what_is_stored_is_found_again_under_the_same_key_only(tmp_path: Path) -> None:
    first, again, other = Sensitive(), Sensitive(), Sensitive()
    for init, key in ((first, "a"), (again, "a"), (other, "b")):
        prepare(init, tiny_model("llama"), MODULES, InitialisationData(FORGET, 0), cache=Cache(tmp_path), key=key)
    assert (first.seen, again.seen, other.seen) == ([2], [], [2])


def test_a_module_that_nothing_was_prepared_for_is_named() -> None:
    class Half(Sensitive):
        def prepare(self, model: Any, modules: Sequence[str], data: Any) -> Iterator[Mapping[str, Tensor]]:
            yield {modules[0]: torch.zeros(1)}

    with pytest.raises(ModelError, match=f"Half prepared nothing for {MODULES[1]}"):
        prepare(Half(), tiny_model("llama"), MODULES, InitialisationData(FORGET, 0))


def test_a_role_without_data_is_named() -> None:
    with pytest.raises(DataError, match=r"adapter\.init reads forget data, and there are none; write data\.forget="):
        prepare(Sensitive(), tiny_model("llama"), MODULES, InitialisationData({}, 0))


def test_the_cost_of_each_role_is_counted_by_itself() -> None:
    class Uneven(Sensitive):
        roles = ("forget", "retain")

        def prepare(self, model: Any, modules: Sequence[str], data: Any) -> Iterator[Mapping[str, Tensor]]:
            for role in ("forget", "retain", "retain"):
                found = fisher(model, data.batches(role), modules)
            yield found

    model = tiny_model("llama")
    cost = preparation_cost(model, Uneven(), MODULES)
    assert isinstance(cost, dict) and cost["forget"] != RowCost()
    assert cost["retain"] == RowCost(
        *(2 * v for v in (cost["forget"].token, cost["forget"].pair, cost["forget"].supervised))
    )
    assert preparation_cost(model, Initialisation(), ()) == {}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("filla", {}, "unknown initialisation 'filla'; did you mean 'fila'"),
        ("fila", {"epsilom": 1}, "initialisation 'fila' has no parameter 'epsilom'; did you mean 'epsilon'"),
        ("fila", {"epsilon": "publihsed"}, "initialisation 'fila': epsilon is 'publihsed': input should be 'relative'"),
        ("fila", {"epsilon": 0.0}, "epsilon is 0.0; write relative, released or a number above 0"),
        ("fila", {"examples": 0}, "initialisation 'fila': examples is 0: input should be greater than 0"),
        ("default", {"epsilon": 1}, "initialisation 'default' has no parameter 'epsilon'"),
    ],
)
def test_a_name_or_parameter_without_meaning_is_refused(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_initialisation(name, parameters)
