"""The training loop of all methods: plain, resumable bit for bit, monitored by the collapse alarm."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn

from forgetting.core.errors import CollapseError
from forgetting.core.example import Role
from forgetting.core.interruption import whole_if_alone
from forgetting.core.measure import Measure
from forgetting.core.processes import count, on_first
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.models.head import causal_model
from forgetting.models.packing import why_padded
from forgetting.objectives.gradient_rules import Prepares
from forgetting.objectives.objective import Objective
from forgetting.runs.stage_folder import StageFolder
from forgetting.runs.stage_result import Ending, Step
from forgetting.training.alarm import CollapseAlarm
from forgetting.training.micro_batches import MicroBatches, pass_tokens
from forgetting.training.prepared_model import Trained, optimizer_of
from forgetting.training.prepared_rule import prepare_rule
from forgetting.training.reference import Reference, no_reference
from forgetting.training.settings import Optimisation, learning_rate_at
from forgetting.training.sharding import whole
from forgetting.training.stage import NO_HOOKS, Hooks
from forgetting.training.stage_checkpoints import StageCheckpoints, State
from forgetting.training.step_gradients import StepGradients


class Trainer:
    """One stage of optimisation; with several processes, each creates one.

    Args:
        model: its parameters that require a gradient are trained.
        objective: what is minimised; its states belong to this stage and are reset at its start.
        data: encoded examples by role; every role of the objective.
        settings: optimiser, durations, guards.
        folder: the folder of checkpoints and `history.jsonl`; a stage that finds its own there resumes from them.
        pad_id: the id that pads rows.
        seed: fixes the order of the data and the dropout of every step.
        reference: provides the objective's inputs from the model before the stage.
        turns: by role the indices of each source's examples, which are drawn in turn; without, there is one source.
        hooks: evaluation, and the score, stop rule and alarm that use it; progress, trackers.
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
        turns: Mapping[str, Sequence[Sequence[int]]] = MappingProxyType({}),
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self.model, self.objective, self.settings, self.pad_id = model, objective, settings, pad_id
        self.folder = StageFolder(folder)
        self.data = {role: data[role] for role in objective.roles}
        self.hooks = hooks
        sizes = {role: len(members) for role, members in self.data.items()}
        self.plan = StepPlan(sizes, settings.batch_size, seed, objective.partners, turns)
        per_epoch = {
            "steps_per_epoch": self.plan.steps_per_epoch,
            "tokens_per_epoch": sum(e.supervised for e in self.data[self.plan.first]),
        }
        self.total = settings.duration.steps(**per_epoch)
        every = settings.evaluate_every
        self.evaluate_every = self.total if every is None else every.steps(**per_epoch)
        self.checkpoint_every = settings.checkpoint_every.steps(**per_epoch)
        self.trained = Trained(model, objective, reference, sharded=settings.sharding == "full")
        self.optimizer = optimizer_of(self.trained.parameters, settings)
        self.goal_reached = False
        packed = settings.packing and self._can_pack()
        self.micro_batches = MicroBatches(
            self.data,
            settings.micro_batch_size,
            partners=objective.partners,
            pad_id=pad_id,
            packed=packed,
            pass_tokens=pass_tokens(self.trained.device),
            processes=count(),
        )
        dtype = torch.bfloat16 if settings.mixed_precision == "bf16" else None
        self.gradients = StepGradients(
            self.trained, objective, self.plan, self.micro_batches, dtype=dtype, seed=seed, say=hooks.say
        )
        self.alarm = CollapseAlarm(settings.collapse_at)
        self.checkpoints = StageCheckpoints(
            self.folder, self.trained, self.optimizer, objective, self.alarm, self.micro_batches, hooks.say
        )

    @property
    def state(self) -> State:
        """How far it is, as the next checkpoint holds it."""
        return self.checkpoints.state

    def run(self) -> Ending:
        """Trains until the end, the goal, a collapse or an interruption; the model then has the kept weights."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        stopped: Literal["duration", "collapse", "goal"] = "duration"
        message = ""
        self.trained.park()
        try:
            self._restore()
            while self.state.step < self.total and not self.goal_reached:
                with whole_if_alone() as asked_to_end:
                    self._step(self.state.step)
                    if self._is_evaluated(self.state.step) or self.state.step == self.total:
                        self._judge(self.state.step)
                    if self._is_saved(self.state.step) or asked_to_end():
                        self.checkpoints.save()
                self._after(self.state.step)
        except CollapseError as error:
            stopped, message = "collapse", str(error)
            self.hooks.say(message)
        if self.goal_reached:
            stopped = "goal"
        kept, kept_step = self.checkpoints.load_kept(self.settings.keep, stopped)
        self.model.eval()
        return Ending(
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
            evaluated=tuple(self.state.evaluated),
        )

    def _step(self, step: int) -> None:
        """One optimiser step, 0-based."""
        began = time.perf_counter()
        self.trained.step.train()
        weights = self._weights(step)
        self.optimizer.zero_grad()
        loss, values, tokens = self.gradients(step, weights)
        limit = self.settings.max_grad_norm or float("inf")
        norm = whole(torch.nn.utils.clip_grad_norm_(self.trained.parameters, limit)).item()
        self.alarm.finite(step, loss, norm)
        self.alarm.retained(step, self._losses(values, Role.RETAIN))
        self.alarm.learned(self._losses(values, Role.TRAIN))
        rate = learning_rate_at(step, self.total, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.objective.update(values, step, self.total)
        seconds = time.perf_counter() - began
        self.state.step = step + 1
        self.state.tokens += tokens
        self.state.seconds += seconds
        labels = self.objective.labels
        terms = dict(zip(labels, values, strict=True))
        taken = Step(
            step=step + 1,
            epoch=(step + 1) / self.plan.steps_per_epoch,
            loss=loss,
            terms=terms,
            weights=dict(zip(labels, weights, strict=True)),
            gradient_norm=norm,
            learning_rate=rate,
            seconds=round(seconds, 4),
        )
        self._log(taken, {"loss": loss, "gradient_norm": norm, "learning_rate": rate, **terms})

    def _weights(self, step: int) -> tuple[float, ...]:
        """The weight of each term; where the forget set rests, 0 for all but what should stay."""
        weights = self.objective.weights(step, self.total)
        if not self.state.resting:
            return weights
        kept = [term.role == Role.RETAIN for term in self.objective.terms]
        return tuple(weight if stays else 0.0 for weight, stays in zip(weights, kept, strict=True))

    def _can_rest(self) -> bool:
        """Whether something is trained while the forget set rests, and gradients are a plain sum."""
        terms = zip(self.objective.terms, self.objective.weights(self.state.step, self.total), strict=True)
        return len(self.objective.parts) == 1 and any(t.role == Role.RETAIN and weight for t, weight in terms)

    def _can_pack(self) -> bool:
        why = why_padded(self.model)
        if why is not None:
            self.hooks.say(f"packing: {why}; rows are padded")
        return why is None

    def _losses(self, values: Sequence[float], *roles: str) -> dict[str, float]:
        """The terms that lower a loss of these roles, with values in nats per token, by label."""
        return {
            label: value
            for label, term, value in zip(self.objective.labels, self.objective.terms, values, strict=True)
            if term.role in roles
            and term.loss.unit == "nats"
            and term.average != "sequence_sum"
            and term.sign != "negative"
        }

    def _after(self, step: int) -> None:
        """Evaluates, if due; the step is saved already, so that a kill here loses only the evaluation."""
        if self._is_evaluated(step):
            self._evaluate(step)

    def _is_saved(self, step: int) -> bool:
        """Whether a checkpoint is due; one comes before every evaluation."""
        return self._is_evaluated(step) or self._due(step, self.checkpoint_every)

    def _is_evaluated(self, step: int) -> bool:
        return self.hooks.evaluate is not None and self._due(step, self.evaluate_every)

    def _judge(self, step: int) -> None:
        """Looks at the weights after an update that no further step looks at before they are measured or kept."""
        loss, values = self.gradients.look(step - 1, self._weights(step - 1))
        losses = self._losses(values, Role.RETAIN, Role.TRAIN)
        guessing = math.log(causal_model(self.model).get_input_embeddings().weight.shape[0])
        self.alarm.updated(step, loss, losses, self.trained.not_finite(), guessing=guessing)

    def _due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.total

    def _evaluate(self, step: int) -> None:
        assert self.hooks.evaluate is not None
        self.hooks.progress(step, self.total, "evaluating")
        self.trained.hand_over()
        self.model.eval()
        measures = self.hooks.evaluate(self.model, step=step, epoch=step / self.plan.steps_per_epoch)
        self.trained.park()
        self.state.evaluated = [*self.state.evaluated, step]
        self.goal_reached, forgotten, score, collapsed = on_first(lambda: self._judged(measures))
        resting = forgotten and step < self.total and self._can_rest()
        if resting and not self.state.resting:
            self.hooks.say("the forget set rests until what should stay has come back")
        self.state.resting = resting
        if collapsed is not None:
            raise CollapseError(f"step {step}: {collapsed}")
        if self.settings.keep == "best" and score is not None and score > (self.state.best_score or 0.0):
            self.checkpoints.save_best(score)

    def _judged(self, measures: Sequence[Measure]) -> tuple[bool, bool, float | None, str | None]:
        """Whether the goal is reached, whether but for damage, the score, and the alarm's message."""
        collapsed = None if self.hooks.alarm is None else self.hooks.alarm(measures)
        reached = collapsed is None and self.hooks.reached is not None and self.hooks.reached(measures)
        return reached, not reached and self.hooks.forgotten(measures), self.hooks.score(measures), collapsed

    def _log(self, taken: Step, tracked: dict[str, float]) -> None:
        self.folder.append_step(taken)
        self.hooks.track(tracked, taken.step)
        self.hooks.progress(taken.step, self.total, " ".join(f"{k} {v:.3g}" for k, v in taken.terms.items()))

    def _restore(self) -> None:
        """Resumes from the last complete checkpoint; a stage without one first writes one as a fallback."""
        if not self.checkpoints.restore():
            self.folder.cut_history(0)
            self.objective.start_anew()
            self._prepare()
            self.checkpoints.save()
        elif self.state.step:
            self.hooks.say(f"resuming from step {self.state.step} of {self.total}")
            if self._is_evaluated(self.state.step):
                self._evaluate(self.state.step)

    def _prepare(self) -> None:
        """Lets a gradient rule look at model and data before the first step."""
        rule = self.objective.gradients
        if isinstance(rule, Prepares):
            self.hooks.progress(0, self.total, "preparing the gradient rule")
            self.trained.hand_over()
            prepare_rule(rule, self.model, self.data, self.pad_id)
            self.trained.park()
