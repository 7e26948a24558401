"""What a dry run says a run will take."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.data.plan import StepPlan
from forgetting.models.adapters import active_adapters
from forgetting.pipeline.estimate.estimate import WITHIN, estimate
from forgetting.pipeline.estimate.probe import probe_step
from forgetting.pipeline.finished_run.analysis_cost import Expected
from forgetting.pipeline.run.plan import planned
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe, load_recipe
from forgetting.training.prepared_rule import prepare_rule


def recipe(world: Path, folder: Path, *keys: str) -> Recipe:
    own = [f"model={world / 'model'}", f"data.forget={world / 'forget.jsonl'}", "dtype=float32", "max_new_tokens=4"]
    own += [f"data.retain={world / 'retain.jsonl'}", f"output={folder}", "duration=4 steps", "evaluate_every=2 steps"]
    return load_recipe("unlearn", [*own, "checkpoint_every=2 steps", "keep=last", *keys])


KINDS = {
    "full": ["method=graddiff", "adapter={kind: full}"],
    "lora": ["method=graddiff", "adapter={rank: 4}"],
    "fila": ["method=loku", "adapter={rank: 4}"],
    "stored": ["method=npo", "adapter={kind: full}", "keep=best"],
    "distributions": ["method=ga_kl", "adapter={kind: full}"],
    "sgd": ["method=graddiff", "adapter={kind: full}", "optimizer=sgd"],
    "looks ahead": ["method=graddiff", "adapter={kind: full}", "gradients=flat"],
    "bases": ["method=graddiff", "adapter={kind: full}", "gradients={name: subspace, examples: 3}"],
    "packed": ["method=graddiff", "adapter={rank: 4}", "packing=true"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_left_as_it_was_and_nothing_is_written(kind, world, tmp_path):
    plan = planned(recipe(world, tmp_path / "runs", *KINDS[kind]))
    before = {name: p.detach().clone() for name, p in plan.prepared.loaded.model.named_parameters()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    found = estimate(plan.prepared)
    after = dict(plan.prepared.loaded.model.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(before[name], p) for name, p in after.items())
    assert not any(p.grad is not None for p in after.values())
    assert not active_adapters(plan.prepared.loaded.model)
    assert not plan.prepared.loaded.model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(tmp_path.rglob("*"))
    assert found.seconds["training"] > 0
    assert sum(found.disk.values()) > 0
    assert not found.notes


def test_weights_gradients_and_optimiser_are_counted_in_bytes(world, tmp_path):
    plan = planned(recipe(world, tmp_path, *KINDS["full"]))
    found = estimate(plan.prepared)
    weights = 4 * sum(p.numel() for p in plan.prepared.loaded.model.parameters())
    tensors = len(list(plan.prepared.loaded.model.parameters()))
    assert found.memory["weights"] == found.memory["gradients"] == weights
    assert found.memory["optimiser"] == 2 * weights + 4 * tensors  # two moments, and a step count each
    assert found.disk["checkpoints"] == 2 * weights + found.memory["optimiser"]
    without = estimate(replace(plan.prepared, recipe=recipe(world, tmp_path, *KINDS["sgd"])))
    assert without.memory["optimiser"] == 0


def test_a_stored_reference_is_a_number_per_token_and_for_distributions_hidden_states_and_head(world, tmp_path):
    for kind in ("stored", "distributions"):
        plan = planned(recipe(world, tmp_path / kind, f"name={kind}", *KINDS[kind]))
        found = estimate(plan.prepared)
        run(plan.prepared.recipe, report=False)
        [file] = (tmp_path / kind / ".cache" / "references").glob("*/*.safetensors")
        assert found.disk["stored references"] == pytest.approx(file.stat().st_size, rel=0.15, abs=600)


@pytest.mark.parametrize("kind", ["full", "lora", "fila", "stored"])
def test_what_a_run_leaves_on_disk_is_as_estimated(kind, world, tmp_path):
    plan = planned(recipe(world, tmp_path, *KINDS[kind]))
    found = estimate(plan.prepared)
    run(plan.prepared.recipe)
    kept = [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.pt"), *tmp_path.rglob("records/**/*.jsonl")]
    real = sum({f.stat().st_ino: f.stat().st_size for f in kept}.values())
    told = sum(size for part, size in found.disk.items() if part != "report and results")
    assert max(told / real, real / told) < 1.3, (found.disk, real)  # small files weigh more in so small a run


def test_every_line_says_its_parts_and_how_far_it_may_be_off(world, tmp_path):
    plan = planned(recipe(world, tmp_path, *KINDS["lora"]))
    lines = estimate(plan.prepared).lines()
    for what, line in zip(("memory", "disk", "time"), lines[:3], strict=True):
        assert line.startswith(f"{what}: about ")
        assert f"within a factor of {WITHIN[what]:g}" in line


def analysing(folder: Path, world: Path, *keys: str) -> int:
    """Bytes of the analyses besides the first model."""
    asked = recipe(world, folder, "analyse=[weights]", "method=graddiff", "optimizer=sgd", *keys)
    return estimate(planned(asked).prepared).memory["analysing"]


def test_a_model_that_ends_whole_is_in_memory_beside_the_first_while_it_is_analysed(world, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "forgetting.pipeline.estimate.estimate.costs_on", lambda *_, **__: {"weights": Expected(1.0, 10**9, {})}
    )
    adapter, whole = (analysing(tmp_path, world, "adapter={rank: 4}", f"export={e}") for e in ("adapter", "merged"))
    weights = 4 * sum(p.numel() for p in planned(recipe(world, tmp_path)).prepared.loaded.model.parameters())
    assert whole - adapter == weights


def test_analyses_that_cannot_be_timed_are_said_and_the_rest_is_estimated(world, tmp_path, monkeypatch):
    def untimed(*_, **__):
        raise ModelError("its layers are not found")

    monkeypatch.setattr("forgetting.pipeline.estimate.estimate.costs_on", untimed)
    found = estimate(planned(recipe(world, tmp_path, "analyse=[weights]", "method=graddiff")).prepared)
    assert "what the analyses will take is not known: its layers are not found" in found.notes
    assert found.seconds["training"] > 0


def test_a_second_pass_and_its_copy_of_the_weights_are_counted(world, tmp_path):
    plain, ahead = (planned(recipe(world, tmp_path, *KINDS[kind])).prepared for kind in ("full", "looks ahead"))
    [stage] = ahead.recipe.stages
    step = probe_step(ahead.loaded.model, stage, ahead.encoded[stage.name], ahead.recipe, ahead.loaded.pad_id)
    data = ahead.encoded[stage.name]
    picks = StepPlan({r: len(m) for r, m in data.items()}, stage.batch_size, ahead.recipe.seed_of(stage)).at(0)
    seen = {role: sum(len(data[role][i].ids) for i in own) for role, own in picks.items()}
    assert step.rule.again == pytest.approx(seen["forget"] / sum(seen.values())) and 0.2 < step.rule.again < 0.8
    weights = 4 * sum(p.numel() for p in ahead.loaded.model.parameters())
    assert step.rule.held_bytes == 3 * weights  # a gradient of each part, and the weights that are displaced
    assert estimate(ahead).memory["gradients by part"] == 3 * weights
    assert "gradients by part" not in " ".join(estimate(plain).lines())


def test_the_bases_of_a_subspace_are_counted_and_hold_no_more(world, tmp_path):
    ready = planned(recipe(world, tmp_path, *KINDS["bases"])).prepared
    found = estimate(ready)
    [stage] = ready.recipe.stages
    rule, model = stage.objective().gradients, ready.loaded.model.requires_grad_(True)
    prepare_rule(rule, model, ready.encoded[stage.name], ready.loaded.pad_id)
    held = [basis for basis in rule.state_dict()["bases"] if basis is not None]
    tokens = sum(len(row.ids) for row in ready.encoded[stage.name]["retain"][:3])
    sides = [len(basis) for basis in held]
    assert found.memory["bases, at most"] == sum(4 * side * min(side - 1, tokens) for side in sides)
    assert 0 < sum(4 * b.numel() for b in held) <= found.memory["bases, at most"] == found.disk["bases, at most"]
    step = probe_step(model, stage, ready.encoded[stage.name], ready.recipe, ready.loaded.pad_id)
    assert (step.rule.read_tokens, step.rule.unknown) == (tokens, False) and step.rule.seconds > 0
