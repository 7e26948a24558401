"""The checkpoints of a stage: all that its training goes on from, saved in them and put back bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from forgetting.core.errors import RunError
from forgetting.core.folder import recover
from forgetting.core.processes import first_then_others, on_first
from forgetting.models.adapters import load_state
from forgetting.objectives.objective import Objective
from forgetting.runs.stage_folder import StageFolder
from forgetting.training.alarm import CollapseAlarm
from forgetting.training.checkpoint import Checkpoint, keep_proven, load_checkpoint, save_checkpoint
from forgetting.training.gradients import spread_state, whole_state
from forgetting.training.micro_batches import MicroBatches
from forgetting.training.prepared_model import Trained
from forgetting.training.sharding import load_optimizer, whole_optimizer


@dataclass
class State:
    """The state that a resume needs in addition to weights and optimiser."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_step: int | None = None
    best_score: float | None = None
    alarm: dict[str, Any] = field(default_factory=dict)
    terms: list[dict[str, float] | None] = field(default_factory=list)
    history: str = ""
    """SHA-256 of the history of its steps; empty: unknown."""
    evaluated: list[int] = field(default_factory=list)
    """The steps before this one that were evaluated."""
    resting: bool = False
    """Whether the forget set rests: it is forgotten enough, and what should stay is to come back."""
    room: dict[str, int | None] = field(default_factory=dict)
    """How much a micro-batch may hold, since memory ended with more; empty: as the recipe says."""


@dataclass
class StageCheckpoints:
    """Saves and restores the training of one stage; with several processes, each calls it.

    Attributes:
        folder: where they are.
        trained: its weights.
        optimizer: its moments.
        objective: the states of its terms and of its gradient rule.
        alarm: what it compares with.
        micro_batches: how much one may hold.
        say: prints a line for the user.
    """

    folder: StageFolder
    trained: Trained
    optimizer: torch.optim.Optimizer
    objective: Objective
    alarm: CollapseAlarm
    micro_batches: MicroBatches
    say: Callable[[str], None]
    state: State = field(default_factory=State)

    def save(self) -> None:
        """Saves the training as it is now; the checkpoint before becomes the fallback."""
        if self.state.step:
            on_first(lambda: keep_proven(self.folder.last, self.folder.proven))
        self.state.alarm, self.state.terms = self.alarm.state(), self.objective.state()
        self.state.room = self.micro_batches.room()
        self.state.history = on_first(self.folder.history_digest)
        moments = whole_optimizer(self.optimizer)
        rule = whole_state(self.objective.gradients.state_dict())
        self._write(self.folder.last, asdict(self.state), {**moments, "gradient_rule": rule} if rule else moments)

    def save_best(self, score: float) -> None:
        """Saves the weights as the best that were evaluated."""
        self.state.best_step, self.state.best_score = self.state.step, score
        self._write(self.folder.best, {"step": self.state.step, "score": score})

    def restore(self) -> bool:
        """Puts back the last complete checkpoint, and cuts the history after its step; False if there is none.

        Raises:
            RunError: it is damaged, or not the same for every process.
        """
        checkpoint = first_then_others(self._found)
        step = None if checkpoint is None else checkpoint.state["step"]
        if on_first(lambda: step) != step:
            raise RunError(
                f"{self.folder.last}: not the same for every process; give an output on a disk that all processes share"
            )
        if checkpoint is None:
            return False
        self.trained.load(checkpoint.weights)
        moments = dict(checkpoint.optimizer)
        rule = spread_state(moments.pop("gradient_rule", {}), self.trained.parameters)
        load_optimizer(self.optimizer, self.trained.parameters, moments)
        self.state = State(**checkpoint.state)
        self.alarm.restore(self.state.alarm)
        self.objective.gradients.load_state_dict(rule)
        self.objective.load_state(self.state.terms)
        self.micro_batches.restore(self.state.room)
        self.folder.cut_history(self.state.step)
        return True

    def load_kept(self, keep: str, stopped: str) -> tuple[str, int]:
        """Loads the final weights of the stage into the model, and says which they are.

        Args:
            keep: `last`, or `best` of those evaluated.
            stopped: what ended the training.
        """
        self.trained.hand_over()
        best = load_checkpoint(self.folder.best) if keep == "best" else None
        if best is not None:
            load_state(self.trained.model, best.weights)
            step, score = best.state["step"], best.state["score"]
            return f"step {step}, the evaluated step with the highest balance ({score:.3f})", step
        if stopped == "collapse":
            last = load_checkpoint(self.folder.last)
            assert last is not None, "a stage begins with a checkpoint"
            if last.state["step"] == self.state.step:  # its weights rang the alarm
                last = load_checkpoint(self.folder.proven) or last
            load_state(self.trained.model, last.weights)
            return f"step {last.state['step']}, the last checkpoint before the collapse", last.state["step"]
        why = "; none had a balance above 0" if keep == "best" else ""
        return f"step {self.state.step}, the last{why}", self.state.step

    def _write(self, folder: Path, state: Mapping[str, Any], optimizer: Mapping[str, Any] | None = None) -> None:
        weights = self.trained.weights()
        on_first(lambda: save_checkpoint(folder, weights, optimizer, state))

    def _found(self) -> Checkpoint | None:
        for folder in (self.folder.last, self.folder.proven, self.folder.best):
            if recover(folder):
                self.say(f"{folder}: a half-written checkpoint was discarded; resuming from the one before")
        return load_checkpoint(self.folder.last)
