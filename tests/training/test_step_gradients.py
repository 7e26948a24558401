"""A step under a rule is made of its parts' own gradients, however these are cut, packed or prepared."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from forgetting.objectives.gradient_rules import flat
from forgetting.objectives.methods import build_method
from forgetting.objectives.objective import Objective
from forgetting.training import loop
from forgetting.training.loop import Trainer
from forgetting.training.reference import LiveReference
from forgetting.training.stage import NO_HOOKS, Hooks
from tests.models.tiny import tiny_model
from tests.training.making import NOT_SUMS, apart, data_of, history, not_a_sum, settings, weights_of


def model() -> nn.Module:
    """GPT-2: Llama computes its norms in fp32 whatever the precision."""
    return tiny_model("gpt2", head_scale=0.3, dtype=torch.float64)


def stage(folder: Path, objective: Objective, trained: nn.Module, hooks: Hooks = NO_HOOKS, **how: Any) -> Trainer:
    how = {"duration": "3 steps", "optimizer": "sgd", "learning_rate": 0.05, "batch_size": 8, **how}
    data = data_of(*objective.roles, count=16)
    before = tiny_model("gpt2", head_scale=0.3, seed=1, dtype=torch.float64)
    reference = LiveReference(before, objective)
    return Trainer(
        trained, objective, data, settings(**how), folder=folder, pad_id=0, seed=3, reference=reference, hooks=hooks
    )


def largest(job: Trainer, step: int) -> int:
    """Tokens of the largest forward of a step, padding included."""
    picks = job.plan.at(step)
    parts = ({role: picks[role] for role in roles} for roles in job.objective.parts)
    return max(b.input_ids_BT.numel() for part in parts for b in job.micro_batches.of(part))


def part_of(job: Trainer, trained: nn.Module, roles: set[str], step: int) -> dict[str, Tensor]:
    """The gradient of the terms on these roles by the model's own loss: whole logits, example by example."""
    plain = copy.deepcopy(trained).train()
    plain.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for term, weight in zip(job.objective.terms, job.objective.weights(step, job.total), strict=True):
        if term.role not in roles:
            continue
        losses = []
        for index in job.plan.at(step)[term.role]:
            ids = torch.tensor([job.data[term.role][index].ids])
            log_p = plain(ids).logits[0, 1:-1].log_softmax(-1)
            losses.append(-log_p.gather(1, ids[0, 2:, None])[:, 0])
        total = total + weight * torch.cat(losses).mean()
    total.backward()
    return {n: p.grad for n, p in plain.named_parameters() if p.grad is not None}


def dot(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return sum(float((a[n] * b[n]).sum()) for n in a)


@pytest.mark.parametrize("rule", ["gru", "balanced", "flat"])
def test_steps_are_those_of_the_rule_by_hand(rule: str, tmp_path: Path) -> None:
    trained = model()
    objective = build_method("graddiff").with_gradients(flat(0.05)) if rule == "flat" else not_a_sum(rule)
    job = stage(tmp_path, objective, trained, max_grad_norm=None)
    plain, mean = copy.deepcopy(trained), None
    for step in range(3):
        forget, retain = (part_of(job, plain, {role}, step) for role in ("forget", "retain"))
        if rule == "balanced":
            factor = 0.1 * (dot(retain, retain) / dot(forget, forget)) ** 0.5
            total = {n: retain[n] + factor * forget[n] for n in retain}
        elif rule == "flat":
            ahead = copy.deepcopy(plain)
            for n, p in ahead.named_parameters():
                p.data += 0.05 / dot(forget, forget) ** 0.5 * forget[n]
            there = part_of(job, ahead, {"forget"}, step)
            assert apart(there, forget) > 1e-3
            total = {n: there[n] + retain[n] for n in retain}
        else:
            mean = {n: 0.7 * g + (0.3 * mean[n] if mean else 0) for n, g in retain.items()}
            conflict = dot(forget, mean)
            factor = min(conflict, 0.0) / dot(mean, mean)
            total = {n: forget[n] - factor * mean[n] for n in forget}
            assert conflict < 0 or step > 0
        with torch.no_grad():
            for n, p in plain.named_parameters():
                p -= 0.05 * total[n]
    job.run()
    moved = {n: p - q for (n, p), q in zip(weights_of(trained).items(), weights_of(model()).values(), strict=True)}
    expected = {n: p - q for (n, p), q in zip(weights_of(plain).items(), weights_of(model()).values(), strict=True)}
    distance = apart(moved, expected)
    assert distance < 1e-7  # weights of the average are fp32


@pytest.mark.parametrize("name", list(NOT_SUMS))
def test_neither_micro_batches_nor_packing_nor_order_change_the_stage(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "pass_tokens", lambda device: 0)
    ends, lines = [], []
    for size, packing in ((8, False), (2, False), (3, True), (None, False)):
        trained, folder = model(), tmp_path / f"{size}-{packing}"
        job = stage(folder, not_a_sum(name), trained, micro_batch_size=size, packing=packing)
        assert size is not None or len(job.micro_batches.of(job.plan.at(0))) > 2
        job.run()
        ends.append(weights_of(trained))
        lines.append([(line["loss"], *line["terms"].values(), *line["weights"].values()) for line in history(folder)])
    for end, line in zip(ends[1:], lines[1:], strict=True):
        assert all(a == pytest.approx(b, rel=1e-5) for a, b in zip(line, lines[0], strict=True))
        moved, expected = ({n: e[n] - w for n, w in weights_of(model()).items()} for e in (end, ends[0]))
        distance = apart(moved, expected)
        assert distance < 1e-5


class Full(nn.Module):
    """Raises what an allocator raises, after a forward of more than `most` tokens."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.failures = most, 0

    def forward(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if kwargs["input_ids"].numel() > self.most and module.training:
            self.failures += 1
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"
            )


@pytest.mark.parametrize("name", ["rmu", "gru", "pdu", "npo rectified"])
@pytest.mark.parametrize("size", [None, 8])
def test_a_step_without_enough_memory_is_taken_again_in_smaller_parts(
    name: str, size: int | None, tmp_path: Path
) -> None:
    ends, lines, said = [], [], []
    for most in (10_000, 60):
        trained, folder, full = model(), tmp_path / str(most), Full(most)
        trained.transformer.register_forward_hook(full.forward, with_kwargs=True)
        job = stage(folder, not_a_sum(name), trained, Hooks(say=said.append), micro_batch_size=size)
        job.run()
        assert bool(full.failures) == (most == 60)
        assert (largest(job, 0) <= 60) == (most == 60)
        ends.append(weights_of(trained))
        lines.append([(line["loss"], *line["terms"].values(), *line["weights"].values()) for line in history(folder)])
    assert said and all(
        line.startswith("out of memory: the step is taken again in micro-batches of at most") for line in said
    )
    assert 0 < len(said) == full.failures <= 4
    for line, expected in zip(lines[1], lines[0], strict=True):
        assert line == pytest.approx(expected, rel=1e-5)
    moved, planned = ({n: e[n] - w for n, w in weights_of(model()).items()} for e in ends)
    distance = apart(moved, planned)
    assert distance < 1e-5


def test_memory_that_ends_with_one_example_ends_the_stage(tmp_path: Path) -> None:
    trained = model()
    trained.transformer.register_forward_hook(Full(1).forward, with_kwargs=True)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        stage(tmp_path, not_a_sum("rmu"), trained).run()


def test_another_error_is_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    trained = model()

    def fail(*_: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    trained.transformer.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="mat1"):
        stage(tmp_path, not_a_sum("rmu"), trained).run()


def test_a_resume_keeps_the_smaller_parts(tmp_path: Path) -> None:
    trained = model()
    trained.transformer.register_forward_hook(Full(60).forward, with_kwargs=True)
    stage(tmp_path, not_a_sum("rmu"), trained).run()
    resumed = stage(tmp_path, not_a_sum("rmu"), model(), duration="4 steps")
    resumed._restore()
    assert largest(stage(tmp_path / "anew", not_a_sum("rmu"), model()), 3) > 60 >= largest(resumed, 3)


def test_the_dual_moves_once_per_step_and_not_per_micro_batch(tmp_path: Path) -> None:
    stage(tmp_path, not_a_sum("pdu"), model(), micro_batch_size=1).run()
    lines = history(tmp_path)
    dual = 2.0
    for line in lines:
        assert line["weights"]["retain"] == pytest.approx(dual, rel=1e-12)
        dual = max(0.0, dual + 0.5 * (line["terms"]["retain"] - 1.0))


def test_an_objective_that_was_used_before_starts_anew(tmp_path: Path) -> None:
    for name in ("pdu", "gru"):
        objective, ends = not_a_sum(name), []
        for run in ("one", "two"):
            trained = model()
            stage(tmp_path / name / run, objective, trained).run()
            ends.append(weights_of(trained))
        assert all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0])


def test_only_weights_up_to_the_layer_move(tmp_path: Path) -> None:
    trained = model()
    stage(tmp_path, not_a_sum("rmu"), trained).run()
    before = weights_of(model())
    moved = {n for n, p in weights_of(trained).items() if not torch.equal(p, before[n])}
    assert moved and all(n.startswith(("transformer.wte", "transformer.wpe", "transformer.h.0.")) for n in moved)
