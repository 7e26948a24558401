"""Results of audits and analyses in a run folder: one JSON file each, as typed values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from forgetting.core.grid import Grid
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.runs.reading import as_typed, read_object, write_object

T = TypeVar("T")
AFTER = "after"
_EARLIER = re.compile(r"(.+)@\d+")
_AGAIN = "remove the file and start again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """One model under one attack."""

    model: str
    """Digest of the model's weights."""
    records: str
    """Path of the record file inside the run folder: one record per attempt and question."""
    records_sha256: str = ""
    """SHA-256 of that file; empty if an earlier version wrote it."""
    measures: tuple[Measure, ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One attack on the models of a run."""

    attack: str
    asked: str
    """Digest of the questions and of how they were asked; the same for all models here."""
    source: str = ""
    """The package that the attack comes from."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    leaks: tuple[str, ...] = ("leak", "probability")
    """The values of each fact by which the model after is compared with the oracle; none: the attack tells something
    else."""
    seed: int = 0
    oracle: str | None = None
    """Which model the oracle is; None: there is none."""
    points: Mapping[str, Attacked] = field(default_factory=dict)
    """The finished ones, by `before`, `after` and `oracle`."""

    @classmethod
    def load(cls, file: Path) -> Audit | None:
        """What the file holds; None where there is none.

        Raises:
            RunError: it does not hold an audit.
        """
        return _read(_AUDIT, file)

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        write_object(file, asdict(self), indent=1)


def own_name(attack: str) -> str:
    """The name of an attack, without the number under which its earlier results are kept: `form` of `form@1`."""
    earlier = _EARLIER.fullmatch(attack)
    return attack if earlier is None else earlier[1]


def earlier_name(attack: str, number: int) -> str:
    """The name under which earlier results of an attack are kept, from 1 up."""
    return f"{attack}@{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The attacks that were asked for in all audits of a run, so that one that is missing is missed."""

    attacks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Those that the run's data or model do not allow."""
    oracle: bool = False
    """Whether there was an oracle at the last audit."""
    chosen_by: int = 0
    """Forget examples that the last audit left out, since settings or checkpoints of the run were chosen by them."""

    @classmethod
    def load(cls, file: Path) -> Asked | None:
        """What the file holds; None where there is none.

        Raises:
            RunError: it holds something else.
        """
        return _read(_ASKED, file)

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        write_object(file, asdict(self), indent=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """One analysis of the models of a run."""

    analysis: str
    key: str
    """Digest of the models, the examples and the analysis: equal keys give equal measures."""
    source: str = ""
    """The package that the analysis comes from."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    against: str = "before"
    """The model that the changes are relative to."""
    at: str = AFTER
    """The model that changed: `after` the run, or `stage-NAME`."""
    measures: tuple[Measure, ...] = ()
    series: tuple[Series, ...] = ()
    grids: tuple[Grid, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """By a series and a name on its axis, what that stands for in words of the data; empty where the run is redacted or
    purged."""
    seconds: float = 0.0

    @classmethod
    def load(cls, file: Path) -> Analysed | None:
        """What the file holds; None where there is none.

        Raises:
            RunError: it does not hold an analysis.
        """
        return _read(_ANALYSED, file)

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        write_object(file, asdict(self), indent=1)


_AUDIT = TypeAdapter(Audit)
_ASKED = TypeAdapter(Asked)
_ANALYSED = TypeAdapter(Analysed)


def _read(kind: TypeAdapter[T], file: Path) -> T | None:
    if not file.is_file():
        return None
    return as_typed(kind, read_object(file, what="its results", mend=_AGAIN), file, _AGAIN)
