"""A stage learns, stops when it collapses, keeps the right weights, and resumes to the bit wherever it was killed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from forgetting.core.measure import Measure
from forgetting.objectives.losses import Loss, nll
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import linear
from forgetting.training.loop import Trainer
from forgetting.training.reference import LiveReference
from forgetting.training.stage import Hooks
from tests.models.tiny import tiny_model
from tests.training.making import (
    OBJECTIVES,
    UNLEARN,
    data_of,
    examples,
    history,
    same,
    score_of,
    settings,
    trainer,
    weights_of,
)


def test_the_loss_falls_and_every_step_is_in_the_history(tmp_path: Path) -> None:
    model = tiny_model("llama", head_scale=0.3)
    result = trainer(tmp_path, model=model, duration="12 epochs").run()
    lines = history(tmp_path)
    assert [line["step"] for line in lines] == list(range(1, 25))
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert (result.steps, result.total, result.epochs, result.stopped) == (24, 24, 12.0, "duration")
    assert result.kept_step == 24 and not model.training
    per_epoch = sum(e.supervised for e in examples(8, seed=0))
    assert result.supervised_tokens == 12 * per_epoch and result.train_seconds > 0
    assert set(lines[0]) >= {"loss", "terms", "weights", "gradient_norm", "learning_rate", "seconds", "epoch"}


def test_ascent_forgets_what_descent_retains(tmp_path: Path) -> None:
    trainer(tmp_path, UNLEARN, learning_rate=3e-3, duration="20 steps", collapse_at=None).run()
    first, *_, last = history(tmp_path)
    assert last["terms"]["forget"] > first["terms"]["forget"] + 0.5
    assert last["terms"]["retain"] < first["terms"]["retain"]
    assert first["loss"] == pytest.approx(first["terms"]["retain"] - first["terms"]["forget"], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_is_what_torch_s_own_optimiser_makes_of_the_mean_loss(optimizer: str, tmp_path: Path) -> None:
    model, plain = tiny_model("llama", head_scale=0.3), tiny_model("llama", head_scale=0.3)
    job = trainer(tmp_path, model=model, optimizer=optimizer, duration="1 step", max_grad_norm=0.5, weight_decay=0.1)
    members = job.data["train"]
    total, count = torch.zeros(()), 0
    for index in job.plan.at(0)["train"]:
        ids = torch.tensor([members[index].ids])
        log_p = plain(ids).logits[0, 1:-1].log_softmax(-1)
        total = total - log_p.gather(1, ids[0, 2:, None]).sum()
        count += ids.shape[1] - 2
    (total / count).backward()
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
    kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
    kind(plain.parameters(), lr=0.01, weight_decay=0.1).step()  # type: ignore[operator]
    job.run()
    for (name, p), q in zip(model.named_parameters(), plain.parameters(), strict=True):
        if optimizer == "sgd":
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6, msg=name)
        else:  # the first step of AdamW is nearly the sign of the gradient: rounding counts where it is nearly zero
            assert ((p - q).abs() > 1e-4).float().mean() < 0.01, name


def test_micro_batches_do_not_change_the_stage(tmp_path: Path) -> None:
    ends = []
    for size in (4, 2, 1):
        model = tiny_model("llama", head_scale=0.3)
        trainer(tmp_path / str(size), model=model, micro_batch_size=size, optimizer="sgd").run()
        ends.append(weights_of(model))
    for end in ends[1:]:
        for name, value in end.items():
            torch.testing.assert_close(value, ends[0][name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sequence", "npo", "dpo"])
def test_packing_does_not_change_the_stage(name: str, tmp_path: Path) -> None:
    objective = OBJECTIVES[name]
    data = data_of(*objective.roles, count=16, signed=name == "sequence")
    reference = LiveReference(tiny_model("llama", head_scale=0.3, seed=1), objective)
    ends, rows = [], []
    for packing, size in ((False, 16), (True, 16), (False, 4), (True, 4)):
        model = tiny_model("llama", head_scale=0.3)
        how = settings(packing=packing, batch_size=16, micro_batch_size=size, optimizer="sgd", duration="3 steps")
        folder = tmp_path / f"{packing}-{size}"
        job = Trainer(model, objective, data, how, folder=folder, pad_id=0, seed=3, reference=reference)
        seen: list[int] = []
        model.model.register_forward_pre_hook(
            lambda module, args, kwargs, seen=seen: seen.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        job.run()
        ends.append(weights_of(model))
        rows.append((len(seen), sum(seen)))
    assert [forwards for forwards, _ in rows] == [4, 4, 16, 16]  # a look at the last update too
    assert rows[1][1] < rows[0][1] and rows[3][1] < rows[2][1]
    for end in ends[1:]:
        for key, value in end.items():
            torch.testing.assert_close(value, ends[0][key], rtol=1e-5, atol=1e-6)


def test_a_model_that_cannot_pack_is_padded_and_it_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    config = transformers.MambaConfig(hidden_size=32, num_hidden_layers=1, state_size=4, vocab_size=97)
    ends = []
    for packing in (True, False):
        torch.manual_seed(0)
        model = transformers.MambaForCausalLM(config)
        hooks = Hooks(say=said.append)
        trainer(tmp_path / str(packing), model=model, packing=packing, hooks=hooks, duration="2 steps").run()
        ends.append(weights_of(model))
    assert len(said) == 1 and said[0].startswith("packing: mamba ") and said[0].endswith("; rows are padded")
    assert same(*ends)


def test_the_learning_rate_and_the_weights_follow_their_schedules(tmp_path: Path) -> None:
    objective = Objective(Term("forget", nll, weight=linear(0.0, -1.0)), Term("retain", nll))
    trainer(tmp_path, objective, schedule="linear", warmup=0.2, duration="5 steps", learning_rate=1e-3).run()
    lines = history(tmp_path)
    assert [line["weights"]["forget"] for line in lines] == pytest.approx([0.0, -0.25, -0.5, -0.75, -1.0])
    assert [line["learning_rate"] for line in lines] == pytest.approx([1e-3, 1e-3, 7.5e-4, 5e-4, 2.5e-4])


def resting_hooks(asleep: tuple[int, ...], said: list[str], stop: int | None = None) -> Hooks:
    """Evaluations every 2 steps; at some of them the forget set is forgotten but for damage. A kill at a step."""

    def evaluate(model: nn.Module, *, step: int, epoch: float) -> list[Measure]:
        if step == stop:
            raise KeyboardInterrupt
        return [Measure(name="damage", split="kept", value=float(step in asleep), count=9)]

    return Hooks(
        evaluate=evaluate,
        reached=lambda measures: False,
        forgotten=lambda measures: bool(measures[0].value),
        say=said.append,
    )


REST = {"duration": "8 steps", "evaluate_every": "2 steps", "checkpoint_every": "1 steps", "collapse_at": None}


@pytest.mark.parametrize("size", [1, 4])
def test_what_is_forgotten_enough_rests_until_what_should_stay_is_back(size: int, tmp_path: Path) -> None:
    said: list[str] = []
    trainer(tmp_path, UNLEARN, hooks=resting_hooks((2, 4), said), micro_batch_size=size, **REST).run()
    weights = [(line["weights"]["forget"], line["weights"]["retain"]) for line in history(tmp_path)]
    assert weights == [(-1.0, 1.0)] * 2 + [(0.0, 1.0)] * 4 + [(-1.0, 1.0)] * 2
    assert said == ["the forget set rests until what should stay has come back"]
    lines = history(tmp_path)
    assert lines[3]["loss"] == pytest.approx(lines[3]["terms"]["retain"], rel=1e-5)


def test_nothing_is_said_to_rest_behind_the_last_step(tmp_path: Path) -> None:
    said: list[str] = []
    trainer(tmp_path, UNLEARN, hooks=resting_hooks((8,), said), **REST).run()
    assert not said


def test_without_anything_to_keep_nothing_rests(tmp_path: Path) -> None:
    said: list[str] = []
    alone = Objective(Term("forget", nll, weight=-1.0))
    trainer(tmp_path, alone, hooks=resting_hooks((2, 4), said), **REST).run()
    assert [line["weights"]["forget"] for line in history(tmp_path)] == [-1.0] * 8 and not said


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_stage_killed_while_the_forget_set_rests_ends_with_the_same_bits(stop: int, tmp_path: Path) -> None:
    whole, killed = tiny_model("llama", head_scale=0.3), tiny_model("llama", head_scale=0.3)
    trainer(tmp_path / "whole", UNLEARN, model=whole, hooks=resting_hooks((2, 4), []), **REST).run()
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "killed", UNLEARN, model=killed, hooks=resting_hooks((2, 4), [], stop), **REST).run()
    again = tiny_model("llama", head_scale=0.3)
    trainer(tmp_path / "killed", UNLEARN, model=again, hooks=resting_hooks((2, 4), []), **REST).run()
    assert same(weights_of(whole), weights_of(again))


class Broken:
    """A loss that is not a number from some step on."""

    def __init__(self, good: int) -> None:
        self.left = good

    def loss(self) -> Loss:
        def compute(signals: Any) -> Tensor:
            self.left -= 1
            return -signals.logp * (1.0 if self.left >= 0 else math.nan)

        return Loss("broken", compute)


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_optimiser_moves(kind: str, tmp_path: Path) -> None:
    model, seen, said = tiny_model("llama", head_scale=0.3), [], []

    def endless_slope(signals: Any) -> Tensor:
        job_steps = len(seen)
        return (signals.logp - signals.logp.detach()).abs().sqrt() if job_steps >= 3 else -signals.logp

    bad = Broken(3).loss() if kind == "loss" else Loss("endless", endless_slope)
    hooks = Hooks(
        progress=lambda done, total, note: seen.append(weights_of(model)),
        say=said.append,
    )
    job = trainer(tmp_path, Objective(Term("train", bad)), model=model, hooks=hooks, checkpoint_every="2 steps")
    result = job.run()
    assert result.stopped == "collapse" and result.steps == 3 and len(seen) == 3
    assert "step 4: the " in result.message and "the optimiser was not moved" in result.message
    assert said[-1] == result.message
    assert result.kept_step == 2 and "step 2, the last checkpoint before the collapse" in result.kept
    assert same(weights_of(model), seen[1])
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert len(history(tmp_path)) == 3


def test_a_model_that_is_broken_from_the_start_comes_back_as_it_was(tmp_path: Path) -> None:
    model = tiny_model("llama", head_scale=0.3)
    before = weights_of(model)
    result = trainer(tmp_path, Objective(Term("train", Broken(0).loss())), model=model).run()
    assert (result.stopped, result.steps, result.kept_step) == ("collapse", 0, 0)
    assert same(weights_of(model), before)


def test_a_retain_loss_far_past_its_start_stops_the_stage(tmp_path: Path) -> None:
    objective = Objective(Term("forget", nll, weight=-5.0), Term("retain", nll, weight=1e-3))
    result = trainer(
        tmp_path, objective, learning_rate=0.3, duration="40 steps", checkpoint_every="1 step", collapse_at=3.0
    ).run()
    assert result.stopped == "collapse" and 1 <= result.steps < 40
    assert "the retain loss is" in result.message and "collapse_at: null" in result.message
    assert result.kept_step == result.steps - 1  # the weights after the last step are those that rang
    going_on = trainer(tmp_path / "on", objective, learning_rate=0.3, duration="5 steps", collapse_at=None).run()
    assert going_on.stopped == "duration"


def test_the_best_evaluated_step_is_kept(tmp_path: Path) -> None:
    model = tiny_model("llama", head_scale=0.3)
    scores: dict[int, float | None] = {2: 0.3, 4: 0.9, 6: 0.9, 8: None, 9: 0.1}
    at: dict[int, dict[str, Tensor]] = {}

    def evaluate(model: nn.Module, *, step: int, epoch: float) -> list[Measure]:
        assert not model.training and epoch == step / 2
        at[step] = weights_of(model)
        return [Measure(name="balance", split="all", value=scores[step], count=1)]

    hooks = Hooks(evaluate=evaluate, score=score_of("balance"))
    result = trainer(
        tmp_path, model=model, hooks=hooks, keep="best", evaluate_every="2 steps", duration="9 steps"
    ).run()
    assert list(at) == [2, 4, 6, 8, 9]
    assert result.kept_step == 4 and "highest balance (0.900)" in result.kept
    assert same(weights_of(model), at[4]) and not same(at[4], at[9])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_without_a_score_the_last_step_is_kept(keep: str, tmp_path: Path) -> None:
    hooks = Hooks(evaluate=lambda model, step, epoch: [], score=lambda measures: None)
    result = trainer(tmp_path, hooks=hooks, keep=keep).run()
    assert result.kept_step == 6 and result.kept.startswith("step 6, the last")


def test_evaluation_leaves_the_training_s_randomness_alone(tmp_path: Path) -> None:
    def evaluate(model: nn.Module, *, step: int, epoch: float) -> list[Measure]:
        torch.rand(step)
        return []

    ends = []
    for name, hooks in (("without", Hooks()), ("with", Hooks(evaluate=evaluate))):
        model = tiny_model("gpt2", head_scale=0.3, resid_pdrop=0.2)
        trainer(tmp_path / name, model=model, hooks=hooks, evaluate_every="1 step").run()
        ends.append(weights_of(model))
    assert same(*ends)


def test_mixed_precision_trains_in_fp32_weights(tmp_path: Path) -> None:
    model = tiny_model("llama", head_scale=0.3)
    trainer(tmp_path, model=model, mixed_precision="bf16", duration="12 steps").run()
    lines = history(tmp_path)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_trackers_see_every_step(tmp_path: Path) -> None:
    seen: list[tuple[int, set[str]]] = []
    hooks = Hooks(track=lambda values, step: seen.append((step, set(values))))
    trainer(tmp_path, UNLEARN, hooks=hooks, duration="3 steps", learning_rate=1e-4).run()
    assert seen == [(n, {"loss", "gradient_norm", "learning_rate", "forget", "retain"}) for n in (1, 2, 3)]


@pytest.mark.parametrize("rate", [1e2, 1e9, 1e30])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_last_update_that_destroys_the_model_is_a_collapse_and_is_not_kept(
    rate: float, steps: int, tmp_path: Path
) -> None:
    model = tiny_model("llama", head_scale=0.3)
    before = weights_of(model)
    said: list[str] = []
    keys = {"optimizer": "adamw", "learning_rate": rate, "duration": f"{steps} steps", "max_grad_norm": None}
    result = trainer(tmp_path, model=model, hooks=Hooks(say=said.append), **keys).run()
    assert (result.stopped, result.kept_step) == ("collapse", 0)
    assert result.kept == "step 0, the last checkpoint before the collapse"
    assert "Lower learning_rate" in result.message and said[-1] == result.message
    assert same(weights_of(model), before)


def test_a_last_update_past_the_retain_limit_is_a_collapse(tmp_path: Path) -> None:
    wild = {"learning_rate": 0.5, "duration": "1 step", "optimizer": "adamw"}
    result = trainer(tmp_path / "judged", UNLEARN, collapse_at=1.5, **wild).run()
    assert result.stopped == "collapse" and "step 1: after its update, the retain loss is" in result.message
    assert trainer(tmp_path / "regardless", UNLEARN, collapse_at=None, **wild).run().stopped == "duration"


def test_the_look_at_the_last_update_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = trainer(tmp_path / "looked", UNLEARN, duration="3 steps")
    looked.run()
    monkeypatch.setattr(Trainer, "_judge", lambda self, step: None)
    blind = trainer(tmp_path / "blind", UNLEARN, duration="3 steps")
    blind.run()
    assert same(weights_of(looked.model), weights_of(blind.model))
