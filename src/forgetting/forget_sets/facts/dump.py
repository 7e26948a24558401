"""Facts out of a Wikidata JSON dump: one entity a line, .gz, .bz2 or plain, read as a stream.

It is read twice: for subjects with the wanted properties, then for the names and sitelinks of the objects that were
not among them. What a pass found is kept as it goes, so that an ended build goes on from there; so does one whose dump
was cut and then loaded whole.
"""

from __future__ import annotations

import bz2
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from forgetting.core.digest import digest
from forgetting.core.errors import DataError
from forgetting.core.kept_lines import add_lines, kept_lines
from forgetting.core.progress import Voice
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.forget_sets.facts.fact import WIKIDATA, Credit, Entity, Fact, text_of
from forgetting.forget_sets.facts.relations import Relations

_SAVED_EVERY = 10_000
"""Lines after which a pass notes how far it is."""
_BEGINNING = 1 << 16
"""Bytes by which a dump is known again."""
_ID = re.compile(rb'"id": ?"(Q[0-9]+)"')


@dataclass
class Dump:
    """A dump, and which of its properties are wanted: those that the relations name.

    Args:
        path: of the dump.
        relations: their properties are looked for.
        kept: a folder for what was read.
        voice: progress, and whether the dump is cut.
        language: of labels.
    """

    path: Path
    relations: Relations
    kept: Path
    voice: Voice
    stated: Credit | None = None
    language: str = "en"
    left_out: Counter[str] = field(default_factory=Counter, init=False)
    cut: bool = field(default=False, init=False)

    def facts(self) -> Iterator[Fact]:
        """Every fact whose property is wanted, of the best rank that its subject has for it.

        Raises:
            DataError: no such file, one that is no dump, or no relation with a property.
        """
        names = {one.property: name for name, one in self.relations.named.items() if one.property}
        if not names:
            raise DataError("the relations file names no Wikidata property; write property: P17, and so on")
        self.left_out.clear()
        key = digest(self._beginning(), sorted(names), self.language)
        marks = [f'"{property}"'.encode() for property in names]
        subjects = {
            found["id"]: found
            for found in self._pass(
                f"{key}-subjects",
                lambda line: self._subject(line, names) if any(mark in line for mark in marks) else None,
                "subjects",
            )
        }
        wanted = {o for found in subjects.values() for _, o, _ in found["claims"]} - set(subjects)
        objects = {
            found["id"]: found
            for found in self._pass(
                f"{key}-objects-{digest(sorted(wanted))}",
                lambda line: self._entity(line) if _id(line) in wanted else None,
                "objects",
            )
        }
        for subject in subjects.values():
            self.left_out.update(subject["left_out"])
            for property, object, rank in subject["claims"]:
                other = subjects.get(object) or objects.get(object)
                if other is None or not other["label"] or not subject["label"]:
                    self.left_out["statements on an entity without a label in this language"] += 1
                    continue
                yield Fact(_named(subject), names[property], _named(other), rank, f"{self.path.name}: {subject['id']}")

    @property
    def about(self) -> dict[str, object]:
        """Path, size, language, and whether the dump ends in the middle."""
        return {
            "dump": str(self.path),
            "bytes": self.path.stat().st_size,
            "language": self.language,
            "cut": self.cut,
            "properties": sorted(one.property for one in self.relations.named.values() if one.property),
        }

    @property
    def credit(self) -> Credit:
        """Wikidata, unless it was stated."""
        return self.stated or WIKIDATA

    def _beginning(self) -> str:
        try:
            if self.path.exists() and not self.path.is_file():
                raise OSError("it is no plain file")
            with self.path.open("rb") as file:
                return digest(file.read(_BEGINNING))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path}: cannot be read ({said(error)}); name a dump") from error

    def _pass(self, name: str, make: Callable[[bytes], dict[str, Any] | None], what: str) -> Iterator[dict[str, Any]]:
        """What `make` makes of every line, and of earlier builds' lines what they made."""
        file, size = self.kept / name / "lines.jsonl", self.path.stat().st_size
        with kept_lines(file, _Part.of, self.voice) as kept:
            if any(part.end and part.size != size for part in kept):
                self.voice.say(f"{self.path}: another dump than the one that was read; beginning anew")
                kept.clear()
                file.unlink()
            done, whole = 0, False
            for part in kept:
                if part.begin == done:  # others stand behind one that was damaged
                    yield from self._given(part)
                    done, whole = part.lines, part.end
            if whole:
                return
            fresh = _Part(done, done, size)
            for number, line in enumerate(self._lines(), 1):
                if number <= done:
                    continue
                fresh.lines = number
                try:
                    found = make(line)
                except (ValueError, KeyError, TypeError, AttributeError):
                    fresh.broken += 1
                    found = None
                if found is not None:
                    fresh.found.append(found)
                if number % _SAVED_EVERY == 0:
                    add_lines(file, [vars(fresh)])
                    yield from self._given(fresh)
                    fresh = _Part(number, number, size)
                    self.voice.progress(number, number, f"reading the dump for {what}")
            # A cut line is not counted as read, so that a whole dump is read from there.
            fresh.end = not self.cut
            add_lines(file, [vars(fresh)])
            yield from self._given(fresh)

    def _given(self, part: _Part) -> list[dict[str, Any]]:
        """What a part of the dump gave; its broken lines are counted."""
        if part.broken:
            self.left_out["lines of the dump that are no entity"] += part.broken
        return part.found

    def _lines(self) -> Iterator[bytes]:
        """The lines with an entity, without the list's brackets and commas; a last line that is cut is none."""
        opened: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open}
        number = 0
        try:
            with opened.get(self.path.suffix, lambda p: p.open("rb"))(self.path) as file:
                for number, line in enumerate(cast(BinaryIO, file), 1):
                    text = line.strip().rstrip(b",")
                    if not line.endswith(b"\n") and text not in (b"]", b"") and not _is_json(text):
                        self._say_cut(number)
                        return
                    yield text if text not in (b"[", b"]") else b""
        except EOFError:
            self._say_cut(number + 1)
        except (OSError, zlib.error) as error:
            raise DataError(f"{self.path}: broken behind line {number:,} ({said(error)}); load it again") from error

    def _say_cut(self, line: int) -> None:
        if not self.cut:
            self.voice.say(
                f"{self.path}: ends in the middle of line {line:,}; the lines before it are used, and the rest once "
                "the whole dump stands there and the same command is run again"
            )
        self.cut = True

    def _subject(self, line: bytes, names: Mapping[str, str]) -> dict[str, Any] | None:
        entity = read_json(line)
        left_out: Counter[str] = Counter()
        claims = []
        for property in names:
            statements = entity.get("claims", {}).get(property, [])
            ranks = {statement["rank"] for statement in statements}
            best = "preferred" if "preferred" in ranks else "normal"
            for statement in statements:
                value = statement["mainsnak"].get("datavalue", {}).get("value", {})
                if statement["rank"] != best:
                    left_out["statements of a lower rank, or deprecated"] += 1
                elif not isinstance(value, dict) or not str(value.get("id", "")).startswith("Q"):
                    left_out["statements whose value is no item"] += 1
                else:
                    claims.append([property, value["id"], best])
        return {**self._about(entity), "claims": claims, "left_out": left_out} if claims or left_out else None

    def _entity(self, line: bytes) -> dict[str, Any]:
        return self._about(read_json(line))

    def _about(self, entity: Mapping[str, Any]) -> dict[str, Any]:
        def names(kind: str) -> Any:
            return (entity.get(kind) or {}).get(self.language) or ({} if kind == "labels" else [])

        return {
            "id": text_of(entity["id"]),
            "label": text_of(names("labels").get("value", "")),
            "aliases": [text_of(alias["value"]) for alias in names("aliases")],
            "sitelinks": len(entity.get("sitelinks") or {}),
            "statements": sum(map(len, (entity.get("claims") or {}).values())),
        }


def _id(line: bytes) -> str:
    found = _ID.search(line[:200])
    return found[1].decode() if found else ""


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _named(found: Mapping[str, Any]) -> Entity:
    numbers = {name: float(found[name]) for name in ("sitelinks", "statements")}
    return Entity(found["label"], found["id"], tuple(found["aliases"]), numbers)


@dataclass
class _Part:
    """What some lines of a dump, one after the other, gave."""

    begin: int
    """Lines before them."""
    lines: int
    """Lines up to their end."""
    size: int
    """Bytes of the whole dump."""
    end: bool = False
    """Whether nothing stands behind them."""
    broken: int = 0
    """Lines that are no entity."""
    found: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, row: dict[str, Any]) -> _Part:
        """As it was kept."""
        return cls(**row)
