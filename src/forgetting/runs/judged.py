"""A judge's measures of a run's answers in the run's folder: one JSON file for each judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from forgetting.core.measure import Measure
from forgetting.runs.reading import as_typed, read_object, write_object

_AGAIN = "remove the file and start again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one judge said of the models of a run, in numbers; it holds no texts."""

    judge: str
    """Who was asked, and where."""
    instructions: str
    """Name and version of what the judge was told."""
    points: Mapping[str, tuple[Measure, ...]] = field(default_factory=dict)
    """Measures by `before`, `oracle` and `after`."""
    prompt_tokens: int | None = None
    """Of all replies; None if the judge did not say."""
    reply_tokens: int | None = None
    kept: int | None = None
    """Replies that were there before the last asking; None in files of earlier versions."""
    seconds: float = 0.0
    """Of the last asking."""

    @classmethod
    def load(cls, file: Path) -> Judged:
        """What the file holds.

        Raises:
            RunError: it does not hold judgements.
        """
        return as_typed(_JUDGED, read_object(file, what="judgements", mend=_AGAIN), file, _AGAIN)

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        write_object(file, asdict(self), indent=1)


_JUDGED = TypeAdapter(Judged)
