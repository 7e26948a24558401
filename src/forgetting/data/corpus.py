"""The corpus of a fine-tuning: drawn from several sources, without duplicates, with a part set off for a reference.

The reference is trained on examples that the training never sees (Forgetting, sections 4 and 5.1, table 1), so no
example stands in both parts, and no duplicate of one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.strict import Strict
from forgetting.data.duplicates import Seen
from forgetting.data.examples import own_ids
from forgetting.data.shares import wanted
from forgetting.data.source import Source

Drawn = Sequence[tuple[str, Source, Sequence[Example]]]
"""The sources of a corpus: what each is called, its settings, and all its examples."""


class Corpus(Strict):
    """How a corpus is made of its sources."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int | None = Field(
        None,
        gt=0,
        description="Examples in all. Sources with neither share nor count are drawn from together, as one, for what "
        "the others leave of it; without a size they give all their rows.",
    )
    reference: int | float | None = Field(
        None,
        description="Set off for the reference and not trained on: a number of examples, or a share between 0 and 1.",
    )
    duplicates: Literal["drop", "keep"] = Field(
        "drop", description="What becomes of an example that repeats an earlier one; they are counted in both cases."
    )
    near: float | None = Field(
        0.8,
        gt=0,
        le=1,
        description="Two examples repeat each other from this Jaccard index of their word 3-shingles on; null: only if "
        "they are equal but for case and spaces.",
    )

    @field_validator("reference", mode="before")
    @classmethod
    def _count_or_share(cls, value: object) -> object:
        if isinstance(value, bool) or (isinstance(value, int) and value < 1):
            raise ValueError("give a number of examples of at least 1, or a share between 0 and 1")
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("a share lies between 0 and 1; a number of examples is written without a point")
        return value


@dataclass(frozen=True, slots=True)
class SourceRow:
    """The examples that a source contributed."""

    label: str
    rows: int
    """Examples that it has."""
    drawn: int
    """Examples of it in the corpus."""
    exact: int
    """The number of examined examples that repeat an earlier one but for case and spaces."""
    near: int
    """The number of examined examples that nearly repeat an earlier one."""
    reference: int
    train: int


@dataclass(frozen=True, slots=True)
class Parts:
    """A corpus in its two parts, which share no example."""

    train: tuple[Example, ...]
    reference: tuple[Example, ...]
    rows: tuple[SourceRow, ...]
    """By source, in the order given."""
    labels: Mapping[str, str]
    """By example id, what its source is called."""
    duplicates: Literal["drop", "keep"] = "drop"

    @property
    def all(self) -> tuple[Example, ...]:
        """The whole corpus: reference, then train."""
        return self.reference + self.train

    @property
    def dropped_exact(self) -> int:
        """Examples left out because they repeat an earlier one but for case and spaces."""
        return sum(row.exact for row in self.rows) if self.duplicates == "drop" else 0

    @property
    def dropped_near(self) -> int:
        """Examples left out because they nearly repeat an earlier one."""
        return sum(row.near for row in self.rows) if self.duplicates == "drop" else 0

    def to_json(self) -> dict[str, object]:
        """Samples and percentage of each source in the whole, the reference and the train part (table 1).

        A part that there is none of is None.
        """
        sizes = {"all": len(self.all), "reference": len(self.reference), "train": len(self.train)}

        def part(name: str, samples: int) -> dict[str, float] | None:
            return {"samples": samples, "percent": 100 * samples / sizes[name]} if sizes[name] else None

        return {
            "samples": sizes,
            "duplicates": {
                "policy": self.duplicates,
                "exact": sum(row.exact for row in self.rows),
                "near": sum(row.near for row in self.rows),
            },
            "sources": [
                {
                    "source": row.label,
                    "rows": row.rows,
                    "exact": row.exact,
                    "near": row.near,
                    "all": part("all", row.drawn),
                    "reference": part("reference", row.reference),
                    "train": part("train", row.train),
                }
                for row in self.rows
            ],
        }


class _Group(NamedTuple):
    """Sources that are drawn from as one, and how many examples in all; None: all that they have."""

    members: list[int]
    wanted: int | None


def build_corpus(corpus: Corpus, drawn: Drawn, seed: int) -> Parts:
    """Draws the examples of a corpus and sets the reference part off.

    Each source is shuffled by the seed and its label. Its examples are examined in that order, source after source,
    until there are as many as asked; one that repeats an example already taken is left out (or counted only, with
    `duplicates: keep`). So the earlier one of two duplicates stays, and sizes are met. An id that a second example
    brings gets a number (`id~2`). The reference part is a random subset of the whole by the seed.

    Args:
        corpus: the settings.
        drawn: of each source what it is called, its settings and all its examples, copies too (`read_examples`).
        seed: the recipe's.

    Raises:
        RecipeError: shares without a size, or shares and counts that do not fit it.
        DataError: a source has fewer examples than asked, or the reference leaves nothing to train on.
    """
    seen = Seen(corpus.near)
    taken: list[tuple[int, Example]] = []
    found: list[dict[str, int]] = [{"exact": 0, "near": 0} for _ in drawn]
    for group in _groups(corpus, drawn):
        before = len(taken)
        for index, example in _shuffled(group.members, drawn, seed):
            if group.wanted is not None and len(taken) - before == group.wanted:
                break
            kind = seen.meet(example)
            if kind is not None:
                found[index][kind] += 1
            if kind is None or corpus.duplicates == "keep":
                taken.append((index, example))
        if group.wanted is not None and len(taken) - before < group.wanted:
            _too_few(group, drawn, len(taken) - before, found)
    ids = own_ids([e for _, e in taken])
    named = [(index, replace(e, id=own)) for (index, e), own in zip(taken, ids, strict=True)]
    return _parts(corpus, drawn, named, found, seed)


def _parts(
    corpus: Corpus, drawn: Drawn, taken: Sequence[tuple[int, Example]], found: Sequence[Mapping[str, int]], seed: int
) -> Parts:
    repeated = 0 if corpus.duplicates == "keep" else sum(sum(kinds.values()) for kinds in found)
    aside = _reference(corpus, len(taken), repeated, seed)
    sources = np.array([index for index, _ in taken])
    in_all = np.bincount(sources, minlength=len(drawn)).tolist()
    in_reference = np.bincount(sources[aside], minlength=len(drawn)).tolist()
    return Parts(
        train=tuple(e for (_, e), set_off in zip(taken, aside, strict=True) if not set_off),
        reference=tuple(e for (_, e), set_off in zip(taken, aside, strict=True) if set_off),
        rows=tuple(
            SourceRow(
                label=label,
                rows=len(examples),
                drawn=in_all[i],
                exact=found[i]["exact"],
                near=found[i]["near"],
                reference=in_reference[i],
                train=in_all[i] - in_reference[i],
            )
            for i, (label, _, examples) in enumerate(drawn)
        ),
        labels={e.id: drawn[index][0] for index, e in taken},
        duplicates=corpus.duplicates,
    )


def _reference(corpus: Corpus, size: int, repeated: int, seed: int) -> np.ndarray:
    """Which of the corpus's examples are set off, as booleans `[size]`; so many more were dropped as duplicates."""
    count = corpus.reference or 0
    if isinstance(count, float):
        count = max(round(count * size), 1)
    if count >= size:
        raise DataError(
            f"corpus.reference is {corpus.reference:g}, which leaves none of the corpus's {size} examples to train on "
            f"({repeated} duplicates were dropped); lower it, or give more data"
        )
    aside = np.zeros(size, dtype=bool)
    aside[_random(seed, "corpus.reference").choice(size, count, replace=False)] = True
    return aside


def check_shares(corpus: Corpus, sources: Sequence[tuple[str, Source]]) -> None:
    """Whether shares and counts fit the size, before any data is read.

    Raises:
        RecipeError: they do not.
    """
    wanted(corpus.size, sources)


def _groups(corpus: Corpus, drawn: Drawn) -> list[_Group]:
    own, rest = wanted(corpus.size, [(label, source) for label, source, _ in drawn])
    groups: list[_Group] = []
    together: list[int] = []
    for i, (_, source, _) in enumerate(drawn):
        if rest is None or source.share is not None or source.count is not None:
            groups.append(_Group([i], own[i]))
            continue
        if not together:
            groups.append(_Group(together, rest))
        together.append(i)
    for group in groups:
        has = sum(len(drawn[i][2]) for i in group.members)
        if group.wanted is not None and has < group.wanted:
            raise DataError(f"{_names(group, drawn)}: has {has} examples, and {group.wanted} are asked of it; {_LESS}")
    return groups


_LESS = "lower its share or count or corpus.size, or give more data"


def _too_few(group: _Group, drawn: Drawn, taken: int, found: Sequence[Mapping[str, int]]) -> None:
    has = sum(len(drawn[i][2]) for i in group.members)
    exact, near = (sum(found[i][kind] for i in group.members) for kind in ("exact", "near"))
    raise DataError(
        f"{_names(group, drawn)}: has {has} examples, of which {taken} are left without duplicates ({exact} exact, "
        f"{near} near), and {group.wanted} are asked of it; {_LESS}, or write corpus.duplicates=keep"
    )


def _names(group: _Group, drawn: Drawn) -> str:
    return " + ".join(drawn[i][0] for i in group.members)


def _shuffled(members: Sequence[int], drawn: Drawn, seed: int) -> Iterator[tuple[int, Example]]:
    """(source, example) of each source in the order of its own shuffle; of several, as if they were one source."""
    sizes = [len(drawn[i][2]) for i in members]
    turns = np.repeat(np.arange(len(members)), sizes)
    if len(members) > 1:
        _random(seed, " + ".join(drawn[i][0] for i in members)).shuffle(turns)
    orders = [iter(_random(seed, drawn[i][0]).permutation(size)) for i, size in zip(members, sizes, strict=True)]
    for turn in turns.tolist():
        index = members[turn]
        yield index, drawn[index][2][int(next(orders[turn]))]


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
