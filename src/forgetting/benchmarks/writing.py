"""Draws the examples of a suite for which text is written: greedy answers, and continuations of passages.

Likelihoods cost one forward an example and are taken of all. Writing takes a forward for every token, and extraction
likelihood continues a passage from every prefix. So only what needs text rests on the sample, and its interval is that
of the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.digest import digest
from forgetting.core.example import Example


@dataclass(frozen=True)
class Writing:
    """The examples that have text written for them, by split; a split that is not named has it for all of its own."""

    drawn: Mapping[str, tuple[Example, ...]]
    """In the order in which they were drawn."""

    @classmethod
    def of(cls, suite: Suite, count: int, seed: int) -> Writing:
        """Draws `count` examples of every split that has more to write for, by a seeded hash of their ids."""
        found = {}
        for split in suite.splits:
            able = [e for e in split.examples if _writes(split, e)]
            if len(able) > count:
                found[split.name] = tuple(sorted(able, key=lambda e: digest(seed, e.id))[:count])
        return cls(found)

    def on(self, suite: Suite) -> Suite:
        """The suite with text for the drawn examples only."""
        return replace(suite, splits=tuple(self._on(split) for split in suite.splits))

    def within(self, smaller: Suite) -> Suite:
        """A smaller suite of the same splits, with text for drawn examples alone, as many as the split has at most.

        Drawn examples that it lacks are added, so that what it measures is a part of what the whole suite measures.
        """
        return self.on(replace(smaller, splits=tuple(self._with_drawn(split) for split in smaller.splits)))

    def _on(self, split: Split) -> Split:
        drawn = self.drawn.get(split.name)
        if drawn is None:
            return split
        return replace(split, written=frozenset(e.id for e in drawn) & {e.id for e in split.examples})

    def _with_drawn(self, split: Split) -> Split:
        there = {e.id for e in split.examples}
        able = sum(_writes(split, e) for e in split.examples)
        added = [e for e in self.drawn.get(split.name, ())[:able] if e.id not in there]
        if not any(e.perturbed for e in split.examples):  # a smaller suite may leave other answers out
            added = [replace(e, perturbed=()) for e in added]
        return replace(split, examples=(*split.examples, *added)) if added else split


def _writes(split: Split, example: Example) -> bool:
    if split.extraction is not None:
        return bool(split.extraction)
    return split.generate and not example.is_document
