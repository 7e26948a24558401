"""A fact: a subject, a relation and an object, as a source states it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from forgetting.data.words import folded


@dataclass(frozen=True, slots=True)
class Entity:
    """Whatever a fact is about, or its answer."""

    label: str
    id: str = ""
    """What tells it from others of its label (`Q668`, `geonames:2950159`); empty where the source has none."""
    aliases: tuple[str, ...] = ()
    """Other names."""
    popularity: Mapping[str, float] = field(default_factory=dict)
    """What the source says of its popularity, by the name of the measure."""

    @property
    def key(self) -> str:
        """What it is known by: its id or, where there is none, its label but for case."""
        return self.id or folded(self.label)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Entity:
        """From what `dataclasses.asdict` made of it."""
        return cls(values["label"], values["id"], tuple(values["aliases"]), dict(values["popularity"]))


@dataclass(frozen=True, slots=True)
class Fact:
    """Subject, relation, object."""

    subject: Entity
    relation: str
    """The name of one in the relations file, or as the source has it where none there bears it."""
    object: Entity
    statement: str = ""
    """The statement's rank where the source ranks its statements, as Wikidata does."""
    where: str = ""
    """Where it stood: `facts.tsv.gz:17`."""
    question: str = ""
    """The source's own question, if that is how it states the fact."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Fact:
        """From what `dataclasses.asdict` made of it."""
        return cls(**{**values, "subject": Entity.of(values["subject"]), "object": Entity.of(values["object"])})


@dataclass(frozen=True, slots=True)
class Credit:
    """Whose data the facts are, to be named wherever they are shown."""

    source: str
    licence: str = ""
    date: str = ""

    def __str__(self) -> str:
        licence = self.licence or "licence not stated: find it out before you pass these files on"
        return f"{self.source}: {licence}" + (f" (as of {self.date})" if self.date else "")


def text_of(value: object) -> str:
    """A label or id as a source gives it.

    Raises:
        TypeError: it is no text.
        ValueError: it holds half a character, which no file can bear.
    """
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    value.encode("utf-8")
    return value


WIKIDATA = Credit("Wikidata, https://www.wikidata.org", "CC0 1.0")
GEONAMES = Credit("GeoNames, https://www.geonames.org", "CC BY 4.0")


class FactSource(Protocol):
    """Where facts come from."""

    def facts(self) -> Iterator[Fact]:
        """Every fact, one by one; what cannot be used is counted."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """After the last fact: of what was left out how many, by why."""

    @property
    def about(self) -> Mapping[str, object]:
        """Its entry in the account of a build: path or address, digest or query."""

    @property
    def credit(self) -> Credit:
        """Whose facts they are; after the last fact."""
