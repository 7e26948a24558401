"""How popular a fact is: a named number for each end, and one for the fact.

Three measures for an entity: what the source itself says of it (sitelinks, population, page views), what another table
says, and in how many of the source's facts it stands (`degree`), which needs nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from scipy.stats import rankdata

from forgetting.core.digest import file_digest
from forgetting.core.errors import DataError, RecipeError, nearest
from forgetting.data.files import read_rows
from forgetting.data.source import Source
from forgetting.forget_sets.facts.fact import Entity, Fact
from forgetting.forget_sets.facts.table import number_in

DEGREE = "degree"
Combine = Literal["sum", "subject", "rank"]
_KEYS = ("id", "entity", "label", "subject")
_NUMBERS = ("popularity", "count", "views", "sitelinks")


class Popularity(Protocol):
    """A measure of entities."""

    @property
    def about(self) -> Mapping[str, object]:
        """Its name, its date if that is known, and where it is from."""

    def of(self, entity: Entity) -> float | None:
        """The number for an entity, at least 0; None: it is not known."""


@dataclass(frozen=True)
class Stated:
    """What the source says itself, under a name."""

    name: str
    date: str = ""

    @property
    def about(self) -> dict[str, object]:
        """Name and date."""
        return {"name": self.name, "date": self.date, "from": "the source of the facts"}

    def of(self, entity: Entity) -> float | None:
        """The number under this name."""
        return entity.popularity.get(self.name)


class Degree:
    """In how many facts an entity stands, at either end."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._counts = Counter(key for fact in facts for key in (fact.subject.key, fact.object.key))
        self.about: Mapping[str, object] = {"name": DEGREE, "date": "", "from": "the facts that were read"}

    def of(self, entity: Entity) -> float | None:
        """The number of facts; never None of an entity that was read."""
        return float(self._counts[entity.key]) or None


class Listed:
    """What a table says of entities, by their id or else their label.

    Args:
        path: a table with a column `id`, `entity` or `label` and one `popularity`, `count`, `views` or `sitelinks`.
        date: of the numbers.

    Raises:
        DataError: no such table or columns, or an entity that stands there twice with different numbers.
    """

    def __init__(self, path: Path, date: str = "") -> None:
        self._numbers: dict[str, float] = {}
        name = ""
        for where, row in read_rows(Source(path=str(path))):
            key = next((row[k] for k in _KEYS if isinstance(row.get(k), str)), None)
            name = next((n for n in _NUMBERS if n in row), "")
            if not key or not name:
                raise DataError(
                    f"{where}: popularity needs a column {' or '.join(_KEYS)} and a column {' or '.join(_NUMBERS)}"
                )
            number = number_in(row[name])
            if number is None:
                continue
            if self._numbers.setdefault(str(key), number) != number:
                raise DataError(f"{where}: '{key}' stands there twice with different numbers; give ids, or remove one")
        self.about: Mapping[str, object] = {
            "name": f"{path.name}:{name}",
            "date": date,
            "from": str(path),
            "sha256": file_digest(path),
        }

    def of(self, entity: Entity) -> float | None:
        """The number under its id, else under its label."""
        return self._numbers.get(entity.id, self._numbers.get(entity.label))


def popularity_named(given: str, facts: Sequence[Fact], date: str = "") -> Popularity:
    """`degree`, a measure that the facts bring (`population`), or a table.

    Raises:
        RecipeError: no fact brings a measure of this name, and there is no such file.
    """
    if given == DEGREE:
        return Degree(facts)
    known = {name for fact in facts for name in (*fact.subject.popularity, *fact.object.popularity)}
    if given in known:
        return Stated(given, date)
    if Path(given).suffix:
        return Listed(Path(given), date)
    raise RecipeError(f"popularity: the facts bring no '{given}'; {nearest(given, {DEGREE, *known})}, or name a table")


def popularities(facts: Sequence[Fact], measure: Popularity, combine: Combine) -> list[float | None]:
    """One number per fact; None where an end that it needs has none.

    `sum` adds both ends, as DUET does; `subject` takes the subject's; `rank` is the mean of the ends' ranks among the
    facts, as shares, so that neither end outweighs the other.
    """
    subjects = [measure.of(fact.subject) for fact in facts]
    if combine == "subject":
        return subjects
    objects = [measure.of(fact.object) for fact in facts]
    both = [(s, o) if s is not None and o is not None else None for s, o in zip(subjects, objects, strict=True)]
    if combine == "sum":
        return [None if pair is None else pair[0] + pair[1] for pair in both]
    known = [pair for pair in both if pair is not None]
    if not known:
        return [None] * len(facts)
    ranks = sum(rankdata([pair[end] for pair in known]) / len(known) for end in (0, 1)) / 2
    each = iter(ranks)
    return [None if pair is None else float(next(each)) for pair in both]
