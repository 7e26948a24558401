"""What can be trusted of an interrupted run: what is damaged is removed with all that depends on it, and made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import damage, is_complete, recover, remove
from forgetting.core.progress import Voice
from forgetting.recipe import Recipe, Stage
from forgetting.runs.folder import RunFolder
from forgetting.runs.stage_folder import StageFolder
from forgetting.training.checkpoint import state_of


def keep_sound(folder: RunFolder, recipe: Recipe, voice: Voice) -> None:
    """Removes what is damaged of a run that is about to go on, and says so.

    A stage whose checkpoints, history or evaluations on the way are damaged is trained again from its start, and so are
    the stages after it, because they began with its weights. What was only computed from a finished stage is computed
    again from its last checkpoint. A stage that is set aside is checked where it is used.
    """
    for model in (folder.model, folder.merged):
        recover(model)
    faults = {
        file: why
        for file in sorted(folder.evaluations_folder.glob("*.json"))
        if (why := folder.evaluations.fault_of(file))
    }
    lost = ""
    for stage in recipe.stages:
        if stage.is_aside:
            continue
        found = _Found(folder, stage, faults)
        found.recover(voice)
        why = lost or next(found.lost(), "")
        if why:
            if not lost or found.own.path.exists():
                voice.say(f"{why}; stage {stage.name} is run again from its start")
            lost = why
            folder.discard(stage.name)
        elif found.own.handed_over_file.exists() and (why := next(found.not_as_written(), "")):
            voice.say(f"{why}; stage {stage.name} is ended again")
            remove(found.own.handed_over_file)
    for file, why in faults.items():
        if file.exists():
            voice.say(f"{why}; it is measured again")
            remove(file)


@dataclass(frozen=True)
class _Found:
    """What an interrupted run has of one stage.

    Args:
        folder: the run's.
        stage: in the recipe.
        faults: what is wrong with evaluations, by file.
    """

    folder: RunFolder
    stage: Stage
    faults: Mapping[Path, str]

    @property
    def own(self) -> StageFolder:
        """The stage's folder."""
        return self.folder.stage(self.stage.name)

    def recover(self, voice: Voice) -> None:
        """Restores what was being replaced, and removes what is half-written."""
        for checkpoint in self.own.checkpoints:
            if recover(checkpoint):
                voice.say(f"{checkpoint}: a half-written checkpoint was discarded; resuming from the one before")
        recover(self.own.model)

    def lost(self) -> Iterator[str]:
        """What is damaged that only a new start of the stage can bring back."""
        own = self.own
        yield from (why for c in own.checkpoints if is_complete(c) and (why := damage(c)))
        if not is_complete(own.last):
            if own.history_file.exists() or (own.handed_over_file.exists() and self.stage.trains):
                yield f"{own.last}: is missing"
            return
        state = state_of(own.last)
        if state is None:
            yield f"{own.last}: its state cannot be read"
            return
        if state["step"] > 0 and not is_complete(own.proven):
            yield f"{own.proven}: is missing"
        if state.get("best_step") is not None and not is_complete(own.best):
            yield f"{own.best}: is missing"
        if state.get("history") and not own.holds_history(state["step"], state["history"]):
            yield f"{own.history_file}: is damaged or missing"
        yield from self._unread(own.prepared_seconds)
        for step in state.get("evaluated", ()):
            yield from self._evaluation_lost(self.folder.evaluations.file(self.stage.name, step))

    def not_as_written(self) -> Iterator[str]:
        """What is damaged of a stage that was handed over, and follows from its last checkpoint or its transform."""
        own = self.own
        yield from self._unread(own.prepared_seconds)
        yield from self._unread(own.result)
        yield from self._unread(own.selection)
        for step in (*own.result().evaluated, None):
            yield from self._evaluation_lost(self.folder.evaluations.file(self.stage.name, step))
        if self.stage.leaves_a_whole_model:
            why = damage(own.model) if is_complete(own.model) else f"{own.model}: is missing"
            yield from [why] if why else []

    def _evaluation_lost(self, file: Path) -> Iterator[str]:
        if file in self.faults or not file.is_file():
            yield self.faults.get(file, f"{file}: is missing")

    @staticmethod
    def _unread(read: Callable[[], object]) -> Iterator[str]:
        try:
            read()
        except RunError as error:
            yield str(error).rpartition("; ")[0]  # without what to do about it
