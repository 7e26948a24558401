"""The reference is the model as it was, by whichever of three ways it is asked."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from forgetting.core.cache import Cache
from forgetting.models.adapters import AdapterSpec, active_adapters, attach
from forgetting.training.learner import ReferenceSignals
from forgetting.training.reference import LiveReference, asking_roles, no_reference
from forgetting.training.stored_reference import store_reference
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model
from tests.training.making import (
    OBJECTIVES,
    WITH_REFERENCE,
    CopyReference,
    apart,
    batches_of,
    data_of,
    not_a_sum,
    step_of,
)


def second_stage() -> tuple[nn.Module, nn.Module]:
    """A model with dropout in the middle of its second LoRA stage, and a copy from before that stage."""
    model = tiny_model("gpt2", head_scale=0.3, resid_pdrop=0.2, embd_pdrop=0.2, attn_pdrop=0.2)
    model = attach(model, AdapterSpec(rank=3, targets="qv", dropout=0.3), name="first", seed=0)
    stir(model)
    before = copy.deepcopy(model).eval()
    model = attach(model, AdapterSpec(rank=4, targets="all", dropout=0.3), name="second", seed=1)
    stir(model)
    return model.train(), before


@pytest.mark.parametrize("name", ["rmu", "rmu all", "rmu kl"])
def test_hidden_states_are_the_same_from_each(name: str, tmp_path: Path) -> None:
    model, before = second_stage()
    objective = not_a_sum(name)
    data = data_of(*objective.roles, count=7)
    picks = [{role: [5, 0, 3] for role in objective.roles}, {role: [6, 1, 2, 4] for role in objective.roles}]
    stored = store_reference(before, objective, data, Cache(tmp_path), pad_id=0)
    for packed in (False, True):
        for batch in batches_of(data, picks, packed=packed):
            copied = CopyReference(before, objective)(batch)["retain"]
            for reference in (LiveReference(model, objective, ("first",)), stored):
                found = reference(batch)
                assert set(found) == {"retain"} and set(found["retain"].hidden) == set(copied.hidden)
                for key, states_ND in found["retain"].hidden.items():
                    torch.testing.assert_close(states_ND, copied.hidden[key], rtol=1e-4, atol=1e-4)


def test_the_stored_states_are_d_numbers_per_token_and_layer_as_announced(tmp_path: Path) -> None:
    objective, model, said = not_a_sum("rmu all"), tiny_model("llama"), []
    data = {role: 50 * members for role, members in data_of(*objective.roles, count=7).items()}
    store_reference(model, objective, data, Cache(tmp_path), pad_id=0, say=said.append)
    (file,) = tmp_path.glob("*/*.safetensors")
    tokens = sum(len(e.ids) for e in data["retain"])
    assert file.stat().st_size / (4 * 32 * tokens) == pytest.approx(1, abs=0.08)
    assert float(said[0].split(", ")[1].split(" MiB")[0]) == pytest.approx(4 * 32 * tokens / 2**20, abs=0.06)


def everything(found: dict[str, ReferenceSignals]) -> dict[str, torch.Tensor]:
    """All numbers that a reference gave."""
    flat = {}
    for role, signals in found.items():
        flat |= {f"{role}/{name}": value for name, value in signals.statistics.items()}
        if signals.logits is not None:
            flat[f"{role}/logits"] = signals.logits(slice(0, 10_000)).log_softmax(-1)
    return flat


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_live_stored_and_copied_references_are_one(name: str, tmp_path: Path) -> None:
    model, before = second_stage()
    objective = OBJECTIVES[name]
    data = data_of(*objective.roles, count=7)
    picks = [{role: [5, 0, 3] for role in objective.roles}, {role: [6, 1, 2, 4] for role in objective.roles}]
    batches = batches_of(data, picks)
    references = {
        "live": LiveReference(model, objective, ("first",)),
        "stored": store_reference(before, objective, data, Cache(tmp_path), pad_id=0),
        "copied": CopyReference(before, objective),
    }
    given = {how: [everything(reference(batch)) for batch in batches] for how, reference in references.items()}
    for how in ("live", "stored"):
        for found, expected in zip(given[how], given["copied"], strict=True):
            asked = {"npo": {"forget/logp"}, "dpo": {"forget/logp", "alternate/logp"}}
            assert set(found) == asked.get(name, {"retain/logits"})
            for key, value in found.items():
                scale = float(expected[key].abs().max())
                assert float((value - expected[key]).abs().max()) <= 1e-6 * scale, (how, key)
    model.eval()  # so that the three steps are compared without dropout
    steps = {how: step_of(model, objective, batches, reference) for how, reference in references.items()}
    for how in ("live", "stored"):
        assert steps[how][0] == pytest.approx(steps["copied"][0], rel=1e-6)
        assert apart(steps[how][2], steps["copied"][2]) <= 1e-6


def test_the_reference_of_a_stacked_stage_is_not_the_bare_base() -> None:
    model, before = second_stage()
    objective, data = OBJECTIVES["npo"], data_of("forget", "retain")
    batch = batches_of(data, [{"forget": [0, 1, 2], "retain": [0]}])[0]
    right = CopyReference(before, objective)(batch)["forget"].statistics["logp"]
    off = LiveReference(model, objective, ())(batch)["forget"].statistics["logp"]
    on = LiveReference(model, objective, ("first", "second"))(batch)["forget"].statistics["logp"]
    live = LiveReference(model, objective, ("first",))(batch)["forget"].statistics["logp"]
    torch.testing.assert_close(live, right, rtol=1e-6, atol=1e-6)
    assert (off - right).abs().max() > 1e-3 and (on - right).abs().max() > 1e-3


def test_the_live_reference_leaves_the_model_as_it_was() -> None:
    model, _ = second_stage()
    objective, data = OBJECTIVES["kl_from"], data_of("forget", "retain")
    batch = batches_of(data, [{"forget": [0], "retain": [1, 2]}])[0]
    flags = [p.requires_grad for p in model.parameters()]
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    found = LiveReference(model, objective, ("first",))(batch)
    assert torch.equal(torch.rand(3), expected)
    assert model.training and active_adapters(model) == ("first", "second")
    assert [p.requires_grad for p in model.parameters()] == flags
    assert set(found) == {"retain"} and not found["retain"].statistics
    assert found["retain"].logits is not None and not found["retain"].logits(slice(0, 3)).requires_grad


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_packed_rows_have_the_same_reference(name: str, tmp_path: Path) -> None:
    model, before = second_stage()
    objective = OBJECTIVES[name]
    data = data_of(*objective.roles, count=7)
    picks = [{role: [5, 0, 3, 6, 1, 2, 4] for role in objective.roles}]
    (padded,), (packed,) = batches_of(data, picks), batches_of(data, picks, packed=True)
    assert len(packed.input_ids_BT) < len(padded.input_ids_BT)
    expected = everything(CopyReference(before, objective)(padded))
    stored = store_reference(before, objective, data, Cache(tmp_path), pad_id=0)
    for reference in (LiveReference(model, objective, ("first",)), stored):
        found = everything(reference(packed))
        assert found and found.keys() <= expected.keys()
        for key, value in found.items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-6 * float(expected[key].abs().max()))


@pytest.mark.parametrize(("packed", "forwarded"), [(False, 6), (True, 4)])
def test_only_roles_that_ask_are_forwarded(packed: bool, forwarded: int) -> None:
    model = tiny_model("llama")
    rows: list[int] = []
    model.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    objective, data = OBJECTIVES["npo"], data_of("forget", "retain")
    batch = batches_of(data, [{"forget": [0, 1, 2, 3, 4, 5], "retain": [0, 1, 2, 3]}], packed=packed)[0]
    assert set(LiveReference(model, objective)(batch)) == {"forget"} and rows == [forwarded]
    assert asking_roles(objective) == ["forget"] and asking_roles(OBJECTIVES["token"]) == []
    assert no_reference(batch) == {}
