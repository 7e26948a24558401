"""A stage killed anywhere and started again ends with the same bits."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from forgetting.core.cache import Cache
from forgetting.core.folder import recover
from forgetting.core.interruption import Interrupted, listening
from forgetting.core.measure import Measure
from forgetting.models.adapters import AdapterSpec, attach, linear_layers, resolve_targets
from forgetting.models.adapters.fila import Fila
from forgetting.objectives.losses import kl_from_reference, nll, npo
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import linear
from forgetting.runs.stage_result import Ending
from forgetting.training import checkpoint, learner, stage_checkpoints
from forgetting.training.checkpoint import load_checkpoint
from forgetting.training.loop import Trainer
from forgetting.training.reference import LiveReference, no_reference
from forgetting.training.stage import Hooks
from forgetting.training.stored_reference import store_reference
from tests.models.tiny import tiny_model
from tests.training.making import (
    NOT_SUMS,
    OBJECTIVES,
    data_of,
    examples,
    history,
    not_a_sum,
    same,
    score_of,
    settings,
    trainer,
    weights_of,
)


class Killed(BaseException):
    """Stands for a kill: nothing in the library catches it."""


class Killer:
    """Raises at the n-th call of what it wraps, before or after it did its work."""

    def __init__(self, wrapped: Callable[..., Any], at: int, *, after: bool = False) -> None:
        self.wrapped, self.left, self.after = wrapped, at, after

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        result = self.wrapped(*arguments, **keywords)
        if self.left == 0:
            raise Killed
        return result

    def as_method(self) -> Callable[..., Any]:
        """A plain function, which a class binds to its instances."""
        return lambda *arguments, **keywords: self(*arguments, **keywords)


LOKU_LIKE = Objective(
    Term("forget", npo(0.1), weight=linear(0.2, 1.0), average="sequence"),
    Term("retain", nll),
    Term("retain", kl_from_reference, weight=linear(1.0, 0.0), name="near"),
)


def resumable(folder: Path, evaluate: Callable | None = None, progress: Callable | None = None) -> Trainer:
    """As the pipeline builds a stage, in a new process: LoRA with FILA and dropout, from its checkpoint if any."""
    model: Any = tiny_model("gpt2", head_scale=0.3, resid_pdrop=0.1)
    spec = AdapterSpec(rank=3, targets="qvffn", dropout=0.1, init=Fila())
    recover(folder / "last")
    found = load_checkpoint(folder / "last")
    generator = torch.Generator().manual_seed(2)
    layers = linear_layers(model)
    importance = {
        m: torch.rand(layers[m].weight.shape[1], generator=generator) + 0.1  # GPT-2 stores [in, out]
        for m in resolve_targets(model, "qvffn")
    }
    model = attach(model, spec, name="unlearn", seed=5, prepared=importance, state=found.weights if found else None)

    def measured(model: nn.Module, *, step: int, epoch: float) -> list[Measure]:
        if evaluate is not None:
            evaluate(step)
        torch.rand(7)
        total = sum(p.double().sum().item() for p in model.parameters() if p.requires_grad)
        return [Measure(name="balance", split="all", value=math.sin(1e3 * total), count=1)]

    hooks = Hooks(evaluate=measured, score=score_of("balance"), progress=progress or (lambda *a: None))
    data = {role: examples(8, seed=n) for n, role in enumerate(LOKU_LIKE.roles)}
    return Trainer(
        model,
        LOKU_LIKE,
        data,
        settings(
            duration="7 steps",
            micro_batch_size=2,
            evaluate_every="3 steps",
            checkpoint_every="2 steps",
            schedule="cosine",
            warmup=0.2,
            weight_decay=0.01,
            keep="best",
            learning_rate=5e-3,
        ),
        folder=folder,
        pad_id=0,
        seed=4,
        reference=LiveReference(model, LOKU_LIKE),
        hooks=hooks,
    )


def ended(job: Trainer) -> tuple[dict[str, Tensor], Ending, dict, list[dict]]:
    result = job.run()
    last = load_checkpoint(job.folder.last)
    assert last is not None
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in history(job.folder.path)]
    kept = weights_of(job.model) | {f"last/{n}": t for n, t in last.weights.items()}
    return kept, replace(result, train_seconds=0.0), last.optimizer, lines


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    return ended(resumable(tmp_path_factory.mktemp("whole")))


def kill(how: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the stage until it is killed in the way `how` says."""
    what, number = how.split()
    at = int(number)

    def on_step(done: int, total: int, note: str) -> None:
        if note != "evaluating" and done == at:
            raise Killed

    def on_evaluation(step: int) -> None:
        if step == at:
            raise Killed

    with monkeypatch.context() as patch:
        if what == "weights":  # before the n-th file of weights is written
            patch.setattr(checkpoint, "save_file", Killer(checkpoint.save_file, at))
        elif what == "optimiser":  # with the weights written and the optimiser half
            patch.setattr(checkpoint.torch, "save", Killer(torch.save, at, after=True))
        elif what == "rename":  # between the renames that put a checkpoint in its place
            patch.setattr(Path, "rename", Killer(Path.rename, at).as_method())
        elif what == "saved":  # a checkpoint is whole and nothing came after it
            patch.setattr(
                stage_checkpoints, "save_checkpoint", Killer(stage_checkpoints.save_checkpoint, at, after=True)
            )
        elif what == "forward":  # in the middle of a step, between its micro-batches
            patch.setattr(learner.Learner, "forward", Killer(learner.Learner.forward, at).as_method())
        job = resumable(
            folder,
            evaluate=on_evaluation if what == "evaluation" else None,
            progress=on_step if what == "step" else None,
        )
        with pytest.raises(Killed):
            job.run()


WAYS = (
    [f"step {n}" for n in (1, 2, 3, 5, 7)]
    + [f"evaluation {n}" for n in (3, 6, 7)]
    + [f"forward {n}" for n in (1, 2, 4, 7, 14)]
    + [f"weights {n}" for n in (1, 2, 3, 4, 5)]
    + [f"optimiser {n}" for n in (1, 2, 4)]
    + [f"rename {n}" for n in (1, 2, 3, 4, 5, 6)]
    + [f"saved {n}" for n in (1, 2, 3, 4, 5)]
)


def assert_as_undisturbed(found: tuple, undisturbed: tuple) -> None:
    weights, result, optimizer, lines = found
    assert same(weights, undisturbed[0])
    assert result == undisturbed[1]
    assert lines == undisturbed[3] and [line["step"] for line in lines] == list(range(1, 8))
    for index, state in undisturbed[2]["state"].items():
        assert all(torch.equal(optimizer["state"][index][name], value) for name, value in state.items())


@pytest.mark.parametrize("how", WAYS)
def test_a_stage_killed_anywhere_ends_with_the_same_bits(
    how: str, undisturbed: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(how, tmp_path, monkeypatch)
    assert_as_undisturbed(ended(resumable(tmp_path)), undisturbed)


def test_a_stage_killed_again_and_again_ends_with_the_same_bits(
    undisturbed: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for how in ("forward 3", "evaluation 3", "rename 3", "step 5", "weights 2", "evaluation 7"):
        kill(how, tmp_path, monkeypatch)
    assert_as_undisturbed(ended(resumable(tmp_path)), undisturbed)


def test_asked_to_end_in_the_middle_of_a_step_it_finishes_the_step_and_saves_it(
    undisturbed: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = learner.Learner.forward

    def asked(self: learner.Learner, *arguments: Any, **keywords: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # of two for each step: in the third, after which no checkpoint is due
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *arguments, **keywords)

    monkeypatch.setattr(learner.Learner, "forward", asked)
    job = resumable(tmp_path)
    job.hooks = replace(job.hooks, evaluate=None)
    with pytest.raises(Interrupted), listening():
        job.run()
    last = load_checkpoint(tmp_path / "last")
    assert last is not None and last.state["step"] == 3 == len(history(tmp_path))
    monkeypatch.undo()
    assert_as_undisturbed(ended(resumable(tmp_path)), undisturbed)


def test_a_finished_stage_ends_again_at_once(undisturbed: tuple, tmp_path: Path) -> None:
    ended(resumable(tmp_path))
    steps: list[str] = []
    job = resumable(tmp_path, progress=lambda done, total, note: steps.append(note))
    assert_as_undisturbed(ended(job), undisturbed)
    assert set(steps) == {"evaluating"}


def test_the_adapter_trained_and_fila_s_frozen_half_did_not(undisturbed: tuple) -> None:
    fresh = weights_of(resumable(Path("nowhere")).model)
    moved = {n for n, value in undisturbed[0].items() if n in fresh and not torch.equal(value, fresh[n])}
    assert moved and all(".unlearn." in name for name in moved)
    assert any("unlearn-start" in name for name in undisturbed[0] if name.startswith("last/"))


@pytest.mark.parametrize("left", [".last.partial", "last"])
def test_a_half_written_checkpoint_is_thrown_away_with_a_word(left: str, tmp_path: Path) -> None:
    said: list[str] = []
    if left == "last":  # written by something else: it has no mark
        (tmp_path / "last").mkdir()
        (tmp_path / "last" / "weights.safetensors").write_text("half")
    else:
        trainer(tmp_path, duration="2 steps").run()
        (tmp_path / left).mkdir()
    result = trainer(tmp_path, hooks=Hooks(say=said.append)).run()
    assert any("a half-written checkpoint was discarded" in line for line in said)
    assert result.steps == 6 and not (tmp_path / ".last.partial").exists()
    assert [line["step"] for line in history(tmp_path)] == list(range(1, 7))


def test_a_resume_says_where_it_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    trainer(tmp_path, duration="2 steps").run()
    trainer(tmp_path, hooks=Hooks(say=said.append)).run()
    assert said == ["resuming from step 2 of 6"]


def test_the_alarm_remembers_its_start(tmp_path: Path) -> None:
    objective = Objective(Term("forget", nll, weight=-5.0), Term("retain", nll, weight=1e-3))
    keys = {"learning_rate": 0.3, "duration": "40 steps", "checkpoint_every": "1 step", "collapse_at": 3.0}
    expected = trainer(tmp_path / "whole", objective, **keys).run()
    assert expected.stopped == "collapse" and expected.steps >= 1

    def on_step(done: int, total: int, note: str) -> None:
        if done == expected.steps:
            raise Killed

    with pytest.raises(Killed):
        trainer(tmp_path / "cut", objective, hooks=Hooks(progress=on_step), **keys).run()
    again = trainer(tmp_path / "cut", objective, **keys).run()
    assert (again.steps, again.message, again.stopped) == (expected.steps, expected.message, "collapse")


def preferring(folder: Path, progress: Callable = lambda *a: None) -> Trainer:
    """A stage of pairs under full tuning, against its stored reference."""
    model, objective = tiny_model("gpt2", head_scale=0.3, resid_pdrop=0.1), OBJECTIVES["dpo"]
    data = data_of(*objective.roles, count=7)
    kept = store_reference(model, objective, data, Cache(folder.parent / "cache"), pad_id=0)
    of_steps = settings(duration="5 steps", micro_batch_size=3, checkpoint_every="2 steps")
    hooks = Hooks(progress=progress)
    return Trainer(model, objective, data, of_steps, folder=folder, pad_id=0, seed=4, reference=kept, hooks=hooks)


def test_a_killed_stage_of_pairs_ends_with_the_same_bits(tmp_path: Path) -> None:
    def kill_at_three(done: int, total: int, note: str) -> None:
        if done == 3:
            raise Killed

    whole = ended(preferring(tmp_path / "whole"))
    with pytest.raises(Killed):
        preferring(tmp_path / "cut", kill_at_three).run()
    again = ended(preferring(tmp_path / "cut"))
    assert same(again[0], whole[0]) and again[3] == whole[3]
    assert whole[3][0]["terms"]["forget"] == pytest.approx(math.log(2), rel=0.2)  # dropout on one side
    assert len(list((tmp_path / "cache").iterdir())) == 1


def short(folder: Path, name: str, progress: Callable[..., None] = lambda *a: None) -> Trainer:
    """A stage of a method that is not a sum, with LoRA and dropout, from its checkpoint if any."""
    recover(folder / "last")
    found = load_checkpoint(folder / "last")
    model: Any = tiny_model("gpt2", head_scale=0.3, resid_pdrop=0.1)
    spec = AdapterSpec(rank=3, targets="qvffn", dropout=0.1)
    model = attach(model, spec, name="unlearn", seed=5, state=found.weights if found else None)
    objective = not_a_sum(name)
    data = {role: examples(8, seed=n) for n, role in enumerate(objective.roles)}
    how = settings(duration="4 steps", micro_batch_size=2, checkpoint_every="1 step", learning_rate=5e-3)
    reference = LiveReference(model, objective) if objective.needs_reference else no_reference
    return Trainer(
        model,
        objective,
        data,
        how,
        folder=folder,
        pad_id=0,
        seed=4,
        reference=reference,
        hooks=Hooks(progress=progress),
    )


@pytest.mark.parametrize("name", [name for name in NOT_SUMS if name not in ("rmu all", "rmu kl")])
def test_what_is_not_a_sum_resumes_at_every_step_to_the_bit(name: str, tmp_path: Path) -> None:
    weights, result, optimizer, lines = ended(short(tmp_path / "whole", name))

    def stop_at(step: int) -> Callable[..., None]:
        def progress(done: int, total: int, note: str) -> None:
            if done == step:
                raise Killed

        return progress

    for step in range(1, 5):
        folder = tmp_path / str(step)
        with pytest.raises(Killed):
            short(folder, name, stop_at(step)).run()
        again, its_result, its_optimizer, its_lines = ended(short(folder, name))
        assert same(again, weights) and its_result == result and its_lines == lines
        assert ("gradient_rule" in optimizer) == (name in {"gru", "npo rectified", "subspace"})
        if "gradient_rule" in optimizer:
            kept = "bases" if name == "subspace" else "mean"
            pairs = zip(optimizer["gradient_rule"][kept], its_optimizer["gradient_rule"][kept], strict=True)
            assert all(a is b is None or torch.equal(a, b) for a, b in pairs)


def test_the_alarm_of_an_evaluation_ends_the_stage_as_a_collapse(tmp_path: Path) -> None:
    def evaluate(model: nn.Module, *, step: int, epoch: float) -> list[Measure]:
        return [Measure(name="utility", split="all", value=1.0 / step, count=1)]

    def alarm(measures: Any) -> str | None:
        value = measures[0].value
        return f"the utility is {value}" if value is not None and value < 0.3 else None

    said: list[str] = []
    hooks = Hooks(evaluate=evaluate, alarm=alarm, say=said.append, score=score_of("utility"))
    job = trainer(tmp_path, hooks=hooks, evaluate_every="2 steps", checkpoint_every="1 step", duration="8 steps")
    result = job.run()
    assert (result.stopped, result.steps, result.kept_step) == ("collapse", 4, 3)
    assert result.message == said[-1] == "step 4: the utility is 0.25"
    again = trainer(tmp_path, hooks=hooks, evaluate_every="2 steps", checkpoint_every="1 step", duration="8 steps")
    assert again.run().stopped == "collapse"  # killed before the stage's result was written


def test_a_divergence_on_retain_is_watched_too(tmp_path: Path) -> None:
    objective = Objective(Term("forget", nll, weight=-5.0), Term("retain", kl_from_reference, weight=1e-3))
    model = tiny_model("llama", head_scale=0.3)
    reference = LiveReference(tiny_model("llama", head_scale=0.3), objective)
    data = data_of("forget", "retain", count=8)
    how = settings(learning_rate=0.3, duration="40 steps", collapse_at=1.5)
    result = Trainer(model, objective, data, how, folder=tmp_path, pad_id=0, seed=3, reference=reference).run()
    assert result.stopped == "collapse" and result.steps < 40
    assert "the retain loss is" in result.message and "× its start of 1)" in result.message
