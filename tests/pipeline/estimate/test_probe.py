"""A timed step knows the stage's length and leaves the model as it was, also after a failure."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import ForgettingError, ModelError
from forgetting.models.adapters import active_adapters
from forgetting.pipeline.estimate import probe
from forgetting.pipeline.estimate.probe import AnswerProbe, in_threads, probe_answers, probe_step
from forgetting.pipeline.run.plan import Plan, planned
from forgetting.recipe import load_recipe


@pytest.fixture
def plan(world: Path, tmp_path: Path) -> Plan:
    own = [f"model={world / 'model'}", f"data.forget={world / 'forget.jsonl'}", "dtype=float32", "max_new_tokens=4"]
    own += [f"data.retain={world / 'retain.jsonl'}", f"output={tmp_path}", "duration=2 epochs", "batch_size=4"]
    return planned(
        load_recipe("unlearn", [*own, "method=graddiff", "adapter={rank: 4}", "evaluate_every=2 steps", "keep=last"])
    )


def test_steps_and_evaluations_follow_from_the_data(plan: Plan) -> None:
    [stage] = plan.prepared.recipe.stages
    found = probe_step(
        plan.prepared.loaded.model,
        stage,
        plan.prepared.encoded[stage.name],
        plan.prepared.recipe,
        plan.prepared.loaded.pad_id,
    )
    assert (found.total, found.evaluations) == (6, 3)  # 12 examples in steps of 4, twice
    matrices = 4 * sum(p.numel() for n, p in plan.prepared.loaded.model.named_parameters() if "lora_" in n)
    assert found.trainable_bytes > matrices == 0, "the adapter is gone, and was counted"


def test_a_step_that_fails_leaves_the_model_without_an_adapter(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ModelError("no memory")

    monkeypatch.setattr(probe, "_take", fails)
    [stage] = plan.prepared.recipe.stages
    asked = {name: p.requires_grad for name, p in plan.prepared.loaded.model.named_parameters()}
    with pytest.raises(ForgettingError, match="no memory"):
        probe_step(
            plan.prepared.loaded.model,
            stage,
            plan.prepared.encoded[stage.name],
            plan.prepared.recipe,
            plan.prepared.loaded.pad_id,
        )
    assert not active_adapters(plan.prepared.loaded.model)
    assert {name: p.requires_grad for name, p in plan.prepared.loaded.model.named_parameters()} == asked


def test_an_evaluation_takes_its_fixed_part_and_each_example(plan: Plan) -> None:
    found = AnswerProbe(fixed=2.0, per_example=0.5, transient_bytes=0, record_bytes=0.0, examples=1)
    assert found.seconds(plan.prepared.suite) == 2.0 + 0.5 * sum(len(s.examples) for s in plan.prepared.suite.splits)


def test_slow_answers_are_timed_on_a_few_examples_only(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, asked = plan.prepared, []

    def slow(model: object, tokenizer: object, suite: Suite, recipe: object) -> tuple[float, list[str]]:
        asked.append(sum(len(split.examples) for split in suite.splits))
        return 16.0 * len(asked), ["record"] * asked[-1]

    monkeypatch.setattr(probe, "_taking", slow)
    found = probe_answers(prepared.loaded.model, prepared.loaded.tokenizer, prepared.suite, prepared.recipe)
    assert found is not None
    assert asked == [16], "eight of each split, and no more"
    assert (found.fixed, found.per_example) == (0.0, 1.0)


def test_a_suite_without_examples_takes_nothing(plan: Plan) -> None:
    empty = replace(plan.prepared.suite, splits=tuple(replace(s, examples=()) for s in plan.prepared.suite.splits))
    assert (
        probe_answers(plan.prepared.loaded.model, plan.prepared.loaded.tokenizer, empty, plan.prepared.recipe) is None
    )


def test_the_number_of_threads_is_that_of_the_run_and_then_as_before() -> None:
    before = torch.get_num_threads()
    with in_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
