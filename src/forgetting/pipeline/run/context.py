"""The context of a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.progress import Voice
from forgetting.data.encode import Encoded
from forgetting.evaluation.answers import padding_id
from forgetting.recipe import Stage
from forgetting.runs.output import OutputFolder
from forgetting.runs.paths import StagePaths
from forgetting.runs.stage_folder import StageFolder


@dataclass(frozen=True)
class StageContext:
    """One stage with its data, its folder, and the caches that it shares with other runs."""

    stage: Stage
    tokenizer: PreTrainedTokenizerBase
    data: Mapping[str, Sequence[Encoded]]
    """Encoded examples of every role of the method."""
    folder: StageFolder
    """The folder of checkpoints, history and result."""
    output: OutputFolder
    """The shared caches of stored references, token scores, initialisations and reference adapters."""
    seed: int
    """The seed of the data's order, dropout and the adapter's initialisation."""
    voice: Voice
    turns: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    """By role the indices of each source's examples, which are drawn in turn; a role without has one source."""
    adapter: str | None = None
    """The earlier stage whose adapter, active in the model, is trained further; None: the stage has its own."""

    earlier: Callable[[str], StagePaths] | None = None
    """The folders of the run's stages, by name; None if there are no others."""
    start: Callable[[], PreTrainedModel] | None = None
    """Loads the model that the run began with; None if it is only in memory."""

    @property
    def pad_id(self) -> int:
        """The id that pads rows."""
        return padding_id(self.tokenizer)
