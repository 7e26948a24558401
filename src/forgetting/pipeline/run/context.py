"""What a stage is run with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

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
    """Where checkpoints, history and result are written."""
    output: OutputFolder
    """Where stored references, token scores, initialisations and reference adapters are shared between runs."""
    seed: int
    """Of the data's order, dropout and the adapter's start."""
    voice: Voice
    adapter: str | None = None
    """The earlier stage whose adapter, active in the model, is trained further; None: the stage has its own."""

    earlier: Callable[[str], StagePaths] | None = None
    """Where the run's stages stand, by name; None where there are no others."""

    @property
    def pad_id(self) -> int:
        """The id that rows are filled up with."""
        return padding_id(self.tokenizer)
