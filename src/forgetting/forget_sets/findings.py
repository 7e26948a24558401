"""What `forget find` found, and what it can say of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from forgetting.data.mentions import KINDS

SHOWN = 20
"""Findings that are shown; all of them go into the file."""
_MANY = 20
_PLURAL = {
    "name": "names",
    "other name": "other names",
    "address": "addresses",
    "e-mail": "e-mail addresses",
    "number": "numbers",
}
_UNSEEN = (
    "first names, surnames or nicknames alone, names in another grammatical case, misspellings, pronouns, what is told "
    "in other words without a name or number, translations and other alphabets, column names, pictures"
)


@dataclass
class Searched:
    """What was searched of a source, and what was found there."""

    source: str
    rows: int = 0
    characters: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    """Findings, by kind."""
    rows_hit: int = 0
    """Rows with at least one finding that is more than `beside`."""
    rows_beside: int = 0
    """Rows with nothing but other names of the forget set's documents."""
    common: dict[str, int] = field(default_factory=dict)
    """Full names that are left out, because the source uses them for something else, and their rows."""
    most: dict[str, int] = field(default_factory=dict)
    """What tells by itself and occurs in most rows, and those rows."""

    def end_row(self, kinds: set[str]) -> None:
        """Counts a row by the kinds of its findings."""
        self.rows_hit += bool(kinds - {"beside"})
        self.rows_beside += kinds == {"beside"}

    def to_json(self, redacted: bool) -> dict[str, Any]:
        """As one document."""
        about = {"source": self.source, "rows": self.rows, "characters": self.characters, "rows_hit": self.rows_hit}
        about["rows_beside"] = self.rows_beside
        common = len(self.common) if redacted else self.common
        return {**about, **{kind: self.hits[kind] for kind in KINDS}, "common": common}

    def sentences(self, redacted: bool) -> list[str]:
        """What to look at before its count is believed: names left out, or what makes most rows hits."""
        said = []
        if self.rows_beside:
            said.append(
                f"{self.source}: {self.rows_beside:,} more rows name nobody but others of its documents (beside)"
            )
        for number, (name, rows) in enumerate(self.common.items(), 1):
            shown = f"name {number}" if redacted else f"'{name}'"
            said.append(
                f"{self.source}: {shown} is in {rows:,} rows, nearly always with nothing else of the forget set, and "
                "was left out as the source's own; if it is to be forgotten, give it with --name"
            )
        if self.rows >= _MANY and 2 * self.rows_hit > self.rows:
            most = "" if redacted else "".join(f"; '{name}' is in {rows:,}" for name, rows in self.most.items())
            said.append(f"{self.source}: more than half of its rows are found; look at what tells there{most}")
        return said


@dataclass
class Findings:
    """What was found: by source, the examples that were found, and the first findings."""

    sources: dict[str, Searched]
    ids: frozenset[str]
    """Of the forget examples."""
    looked_for: Counter[str]
    """How many names, addresses, e-mail addresses and numbers were looked for by themselves."""
    without_names: int
    """Examples that have none of them."""
    without_mentions: int
    """Examples of which only copies, near duplicates and passages can be found."""
    names: int = 0
    """Names that were asked for besides."""
    redacted: bool = False
    found: set[str] = field(default_factory=set)
    """Ids of the forget examples that were found."""
    first: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As one document."""
        return {
            "forget": len(self.ids),
            "forget_found": len(self.found),
            "forget_without_names": self.without_names,
            "forget_without_mentions": self.without_mentions,
            "looked_for": dict(self.looked_for),
            "sources": [s.to_json(self.redacted) for s in self.sources.values()],
            "first": self.first,
            "said": self.sentences(),
        }

    def sentences(self) -> list[str]:
        """What was found, what was looked for and what this cannot see: nothing beyond what was searched."""
        rows, characters = (sum(getattr(s, of) for s in self.sources.values()) for of in ("rows", "characters"))
        within = f"{rows:,} rows or documents, {characters:,} characters"
        named = ", ".join(f"{count:,} {_PLURAL[what]}" for what, count in sorted(self.looked_for.items()))
        said = [f"{len(self.found):,} of {len(self.ids):,} forget examples occur there ({within})"]
        if not any(s.rows_hit or s.rows_beside for s in self.sources.values()):
            said = [
                f"nothing was found in {within}; that is no proof that nothing is there: see what was not looked for"
            ]
        said += [sentence for s in self.sources.values() for sentence in s.sentences(self.redacted)]
        said.append(
            f"looked for: whole texts, passages of 8 words, facts; by themselves {named or 'no name or number'}"
        )
        if self.without_names:
            said.append(
                f"{self.without_names:,} examples hold no full name, address or number that was recognised (names in "
                "small letters, of one word, or in scripts without capitals are not): give what to look for with --name"
            )
        if self.without_mentions:
            said.append(f"{self.without_mentions:,} of them can be found by copies, near duplicates and passages alone")
        said.append(f"not looked for: {_UNSEEN}")
        return said
