"""One training loop for every method: plain, resumable to the bit, watched by the collapse alarm."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from forgetting.core.errors import CollapseError
from forgetting.core.example import Role
from forgetting.core.folder import recover, write_text
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.models.adapters import adapter_state, load_state, trainable_state
from forgetting.models.packing import why_padded
from forgetting.objectives.objective import Objective
from forgetting.training.alarm import CollapseAlarm
from forgetting.training.checkpoint import keep_proven, load_checkpoint, save_checkpoint
from forgetting.training.learner import Learner
from forgetting.training.micro_batches import micro_batches
from forgetting.training.reference import Reference, no_reference
from forgetting.training.settings import Optimisation, learning_rate_at
from forgetting.training.stage import NO_HOOKS, Hooks, StageResult


@dataclass
class _State:
    """What a resume needs beside weights and optimiser."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_step: int | None = None
    best_score: float | None = None
    alarm: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """One stage of optimisation.

    Args:
        model: what is trained: its parameters that require a gradient.
        objective: what is minimised.
        data: encoded examples by role; every role of the objective.
        settings: optimiser, durations, guards.
        folder: where checkpoints and `history.jsonl` live; a stage that finds its own there goes on from them.
        pad_id: the id rows are filled up with.
        seed: fixes the order of the data and the dropout of every step.
        reference: gives what the objective asks of the model as it was before.
        hooks: evaluation, the score and the stop rule that read it, progress, trackers.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: Mapping[str, Sequence[Encoded]],
        settings: Optimisation,
        *,
        folder: Path,
        pad_id: int,
        seed: int,
        reference: Reference = no_reference,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self.learner = Learner(model, objective)
        self.model, self.objective, self.settings, self.folder = model, objective, settings, folder
        self.data = {role: data[role] for role in objective.roles}
        self.pad_id, self.seed, self.reference, self.hooks = pad_id, seed, reference, hooks
        self.device = next(model.parameters()).device
        sizes = {role: len(members) for role, members in self.data.items()}
        self.plan = StepPlan(sizes, settings.batch_size, seed, objective.partners)
        per_epoch = {
            "steps_per_epoch": self.plan.steps_per_epoch,
            "tokens_per_epoch": sum(e.supervised for e in self.data[self.plan.first]),
        }
        self.total = settings.duration.steps(**per_epoch)
        every = settings.evaluate_every
        self.evaluate_every = self.total if every is None else every.steps(**per_epoch)
        self.checkpoint_every = settings.checkpoint_every.steps(**per_epoch)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.parameters, settings)
        self.state = _State()
        self.goal_reached = False
        self.packed = settings.packing and self._can_pack()
        self.alarm = CollapseAlarm(settings.collapse_at)

    @property
    def _last(self) -> Path:
        return self.folder / "last"

    @property
    def _proven(self) -> Path:
        """The last checkpoint whose weights a later step found sound: the alarm judges a step's weights in the next."""
        return self.folder / "proven"

    @property
    def _best(self) -> Path:
        return self.folder / "best"

    def run(self) -> StageResult:
        """Trains to the end, the goal, a collapse or an interruption; leaves the kept weights in the model."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()
        stopped: Literal["duration", "collapse", "goal"] = "duration"
        message = ""
        try:
            while self.state.step < self.total and not self.goal_reached:
                self._step(self.state.step)
                self._after(self.state.step)
        except CollapseError as error:
            stopped, message = "collapse", str(error)
            self.hooks.say(message)
        if self.goal_reached:
            stopped = "goal"
        kept, kept_step = self._keep(stopped)
        self.model.eval()
        return StageResult(
            steps=self.state.step,
            total=self.total,
            epochs=self.state.step / self.plan.steps_per_epoch,
            stopped=stopped,
            message=message,
            success=None if self.hooks.reached is None else self.goal_reached,
            kept=kept,
            kept_step=kept_step,
            supervised_tokens=self.state.tokens,
            train_seconds=self.state.seconds,
        )

    def _step(self, step: int) -> None:
        """One optimiser step, 0-based."""
        began = time.perf_counter()
        torch.manual_seed(self.seed * 1_000_003 + step)  # dropout is a function of the step: a resume repeats it
        self.model.train()
        batches = micro_batches(
            self.plan.at(step), self.data, self.settings.micro_batch_size, pad_id=self.pad_id, packed=self.packed
        )
        denominators = self.objective.denominators(batches)
        weights = self.objective.weights(step, self.total)
        self.optimizer.zero_grad()
        loss, values = 0.0, [0.0] * len(self.objective.terms)
        for batch in (b.to(self.device) for b in batches):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.mixed_precision == "bf16"):
                share, term_values = self.learner(
                    batch, weights=weights, denominators=denominators, reference=self.reference(batch)
                )
            share.backward()
            loss += share.item()
            values = [a + b for a, b in zip(values, term_values, strict=True)]
        limit = self.settings.max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, float("inf") if limit is None else limit).item()
        self.alarm.finite(step, loss, norm)
        self.alarm.retained(step, self._retain_loss(values))
        rate = learning_rate_at(step, self.total, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        seconds = time.perf_counter() - began
        self.state.step = step + 1
        self.state.tokens += sum(len(b.targets_N) for b in batches)
        self.state.seconds += seconds
        self._log(step + 1, loss, values, norm, rate, weights, seconds)

    def _can_pack(self) -> bool:
        why = why_padded(self.model)
        if why is not None:
            self.hooks.say(f"packing: {why}; rows are padded")
        return why is None

    def _retain_loss(self, values: Sequence[float]) -> float | None:
        for term, value in zip(self.objective.terms, values, strict=True):
            if term.role == Role.RETAIN and term.loss.name == "nll":
                return value
        return None

    def _after(self, step: int) -> None:
        """Checkpoint, then evaluation, where they are due: a kill inside the evaluation costs the evaluation only."""
        evaluation_due = self.hooks.evaluate is not None and self._due(step, self.evaluate_every)
        if evaluation_due or self._due(step, self.checkpoint_every):
            self._save()
        if evaluation_due:
            self._evaluate(step)

    def _due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.total

    def _evaluate(self, step: int) -> None:
        assert self.hooks.evaluate is not None
        self.hooks.progress(step, self.total, "evaluating")
        self.model.eval()
        measures = self.hooks.evaluate(self.model, step=step, epoch=step / self.plan.steps_per_epoch)
        self.goal_reached = self.hooks.reached is not None and self.hooks.reached(measures)
        score = self.hooks.score(measures)
        if self.settings.keep == "best" and score is not None and score > (self.state.best_score or 0.0):
            self.state.best_step, self.state.best_score = step, score
            save_checkpoint(self._best, _weights(self.model), None, {"step": step, "score": score})

    def _log(
        self,
        step: int,
        loss: float,
        values: Sequence[float],
        norm: float,
        rate: float,
        weights: Sequence[float],
        seconds: float,
    ) -> None:
        labels = [term.label for term in self.objective.terms]
        terms = dict(zip(labels, values, strict=True))
        line = {
            "step": step,
            "epoch": step / self.plan.steps_per_epoch,
            "loss": loss,
            "terms": terms,
            "weights": dict(zip(labels, weights, strict=True)),
            "gradient_norm": norm,
            "learning_rate": rate,
            "seconds": round(seconds, 4),
        }
        with (self.folder / "history.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.hooks.track({"loss": loss, "gradient_norm": norm, "learning_rate": rate, **terms}, step)
        self.hooks.progress(step, self.total, " ".join(f"{k} {v:.3g}" for k, v in terms.items()))

    def _save(self) -> None:
        if self.state.step:
            keep_proven(self._last, self._proven)
        self.state.alarm = self.alarm.state()
        save_checkpoint(self._last, _weights(self.model), self.optimizer.state_dict(), asdict(self.state))

    def _restore(self) -> None:
        """Goes on from the last whole checkpoint; a stage that has none begins with one, to fall back on."""
        for folder in (self._last, self._proven, self._best):
            if recover(folder):
                self.hooks.say(f"{folder}: a half-written checkpoint was thrown away; going on from the one before")
        checkpoint = load_checkpoint(self._last)
        if checkpoint is None:
            (self.folder / "history.jsonl").unlink(missing_ok=True)
            self._save()
            return
        load_state(self.model, checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.state = _State(**checkpoint.state)
        self.alarm.restore(self.state.alarm)
        self._cut_history()
        if self.state.step:
            self.hooks.say(f"going on from step {self.state.step} of {self.total}")
            if self.hooks.evaluate is not None and self._due(self.state.step, self.evaluate_every):
                self._evaluate(self.state.step)

    def _cut_history(self) -> None:
        file = self.folder / "history.jsonl"
        if file.is_file():
            lines = file.read_text().splitlines()[: self.state.step]
            write_text(file, "".join(line + "\n" for line in lines))

    def _keep(self, stopped: str) -> tuple[str, int]:
        """Loads the weights that the stage ends with, and says which they are."""
        best = load_checkpoint(self._best) if self.settings.keep == "best" else None
        if best is not None:
            load_state(self.model, best.weights)
            step, score = best.state["step"], best.state["score"]
            return f"step {step}, the evaluated step with the highest balance ({score:.3f})", step
        if stopped == "collapse":
            last = load_checkpoint(self._last)
            assert last is not None, "a stage begins with a checkpoint"
            if last.state["step"] == self.state.step:  # its weights are those that rang
                last = load_checkpoint(self._proven) or last
            load_state(self.model, last.weights)
            return f"step {last.state['step']}, the last checkpoint before the collapse", last.state["step"]
        why = "; none had a balance above 0" if self.settings.keep == "best" else ""
        return f"step {self.state.step}, the last{why}", self.state.step


def _optimizer(parameters: Sequence[nn.Parameter], settings: Optimisation) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint keeps: what trains, and every adapter, frozen ones too."""
    return trainable_state(model) | adapter_state(model)
