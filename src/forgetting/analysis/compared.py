"""The type of an analysis: it maps two or three models and examples to measures and series of their differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.core.grid import Grid
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.series import Series
from forgetting.data.formatting import Formatting
from forgetting.models.view import View


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The models of a run, and examples by role. An analysis must leave the models unchanged."""

    before: View
    """The model before the run."""
    after: View
    """The model after the run. With an adapter it is a view of the same weights as the model before."""
    oracle: View | None = None
    """A model that never saw the forget set, if there is one."""
    tokenizer: PreTrainedTokenizerBase
    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """By role: `forget`, `retain`, `holdout`, `train`."""
    against: str = "before"
    """The model that changes are relative to: `before`, `oracle`, or the name of `other`."""
    other: View | None = None
    """A third model that changes are relative to: that after a stage, or that of another run."""
    formatting: Formatting = field(default_factory=Formatting)
    voice: Voice = SILENT

    @property
    def start(self) -> View:
        """The model that changes are relative to.

        Raises:
            ModelError: it is the oracle or another model, and there is none.
        """
        if self.against == "before":
            return self.before
        start = self.oracle if self.against == "oracle" else self.other
        if start is None:
            raise ModelError(f"changes relative to the model {self.against} need it, and there is none; give one")
        return start


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The results of an analysis."""

    measures: tuple[Measure, ...]
    series: tuple[Series, ...] = ()
    grids: tuple[Grid, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """By a series and a name on its axis (`forget #3`), what that stands for in words of the data; left out where a run
    is redacted or purged."""

    @classmethod
    def joined(cls, parts: Iterable[Findings]) -> Findings:
        """Those of several roles or steps, in order."""
        some = list(parts)
        return cls(
            measures=tuple(m for p in some for m in p.measures),
            series=tuple(s for p in some for s in p.series),
            grids=tuple(g for p in some for g in p.grids),
            texts={name: text for p in some for name, text in p.texts.items()},
        )


Analysis = Callable[[Compared], Findings]
