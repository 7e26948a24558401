"""Which source of facts a user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.progress import Voice
from forgetting.forget_sets.facts.dump import Dump
from forgetting.forget_sets.facts.fact import Credit, FactSource, text_of
from forgetting.forget_sets.facts.relations import Relations
from forgetting.forget_sets.facts.sparql import Endpoint
from forgetting.forget_sets.facts.table import COLUMNS, Table
from forgetting.forget_sets.facts.write import cache_of

DUMP = "dump:"
_ADDRESSES = ("http://", "https://")


@dataclass(frozen=True)
class SourceKeys:
    """What a user says of a source beside its place."""

    columns: Sequence[str] = ()
    """FIELD=COLUMN of a table."""
    credit: str = ""
    licence: str = ""
    date: str = ""
    page: int = 2000
    """Rows that an endpoint is asked for at once."""
    most_rows: int | None = None
    """Rows of an endpoint for each relation and class."""

    @property
    def stated(self) -> Credit | None:
        """Whose data they are, if it is said.

        Raises:
            RecipeError: it is no text that a file can bear.
        """
        for key, value in (("credit", self.credit), ("licence", self.licence), ("date", self.date)):
            try:
                text_of(value)
            except ValueError:
                raise RecipeError(f"--{key}: is no text in UTF-8; write it in UTF-8") from None
        return Credit(self.credit, self.licence, self.date) if self.credit else None


def fact_source(place: str, relations: Relations, out: Path, keys: SourceKeys, voice: Voice) -> FactSource:
    """A table, `dump:FILE` or the address of an endpoint.

    Raises:
        RecipeError: a key that has no meaning for the source.
    """
    kept = cache_of(out)
    is_table = not place.startswith((DUMP, *_ADDRESSES))
    if keys.columns and not is_table:
        raise RecipeError("column: only a table has columns; leave it out")
    if place.startswith(DUMP):
        return Dump(Path(place.removeprefix(DUMP)), relations, kept, voice, keys.stated)
    if place.startswith(_ADDRESSES):
        return Endpoint(place, relations, kept, voice, keys.page, keys.most_rows, keys.stated)
    return Table(Path(place), relations, _columns(keys.columns), keys.stated)


def _columns(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, mark, column = one.partition("=")
        if not mark or not column:
            raise RecipeError(f"column: '{one}' is not FIELD=COLUMN; write subject=city")
        if name not in COLUMNS:
            raise RecipeError(f"column: a fact has no '{name}'; {nearest(name, COLUMNS)}")
        found[name] = column
    return found
