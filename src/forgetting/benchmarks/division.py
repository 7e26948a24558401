"""Divides what a suite measures into two halves of source facts: one to choose by, and one to report.

Checkpoints and settings that are chosen by a number look better by that number than they are. So the number that
chooses and the number that is reported are taken on different facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from forgetting.benchmarks.suite import Split, Suite, joined, labelled
from forgetting.core.declaration import Balance, Declaration
from forgetting.core.digest import digest
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example

SELECTION = "selection"
"""The label of the splits that are chosen by: `selection-forget/probability`."""


@dataclass(frozen=True)
class Division:
    """Which source facts of a suite are in the selection half."""

    selected: frozenset[str]
    """`Example.cluster` of those; all others are reported."""

    @classmethod
    def of(cls, suite: Suite, share: float, seed: int) -> Division:
        """Draws `share` of the source facts of every split, by a seeded hash of their names.

        A fact that is asked in several forms is in one half with all of them, whatever split they are in. Every split
        of two facts or more has at least one in each half.

        Raises:
            RecipeError: what the balance compares is too little to divide.
        """
        chosen: dict[str, bool] = {}
        for split in suite.splits:
            mine = dict.fromkeys(example.cluster for example in split.examples)
            new = sorted((name for name in mine if name not in chosen), key=lambda name: digest(seed, name))
            wanted = min(max(round(share * len(mine)), 1), len(mine) - 1) - sum(
                chosen.get(name, False) for name in mine
            )
            chosen.update({name: place < wanted for place, name in enumerate(new)})
        division = cls(frozenset(name for name, selected in chosen.items() if selected))
        division._check(suite)
        return division

    def counts(self, suite: Suite) -> dict[str, tuple[int, int]]:
        """By split, how many source facts are in the selection half, and how many are reported."""
        found = {}
        for split in suite.splits:
            names = {example.cluster for example in split.examples}
            found[split.name] = len(names & self.selected), len(names - self.selected)
        return found

    def selection_of(self, suite: Suite) -> Suite:
        """The selection half alone, under the label; without probes, which measure no examples of the suite."""
        return labelled(replace(_part(suite, lambda e: e.cluster in self.selected), probes=()), SELECTION)

    def both(self, suite: Suite) -> Suite:
        """Both halves: splits bear their names in the reported one. Balance, alarm and goals are of the selection."""
        first, second = self.selection_of(suite), _part(suite, lambda e: e.cluster not in self.selected)
        names = dict.fromkeys((*first.stages, *second.stages))
        return replace(
            joined([second, first]),
            data=suite.data,
            declares=_chosen_by(second.declares, first.declares),
            stages={name: _chosen_by(second.declared(name), first.declared(name)) for name in names},
        )

    def _check(self, suite: Suite) -> None:
        counts, balance = self.counts(suite), suite.declares.balance
        for key in (balance.forget, balance.retain) if balance is not None else ():
            name = key.split("/")[0]
            name = suite.subsets[name].of if name in suite.subsets else name
            if 0 in counts.get(name, (1, 1)):
                raise RecipeError(
                    f"divide: '{name}' is of {sum(counts[name])} source fact, which cannot be divided into what is "
                    "chosen by and what is reported; measure more, or leave divide out"
                )


def on_reported(balance: Balance) -> Balance:
    """What the balance compares, on the reported half."""
    start = f"{SELECTION}-"
    return Balance(**{f.name: getattr(balance, f.name).removeprefix(start) for f in fields(Balance)})


def on_selection(key: str, kept: str) -> str:
    """The key of the same measure on the selection half; `kept` is of that half in any case."""
    return key if key == kept else f"{SELECTION}-{key}"


def _part(suite: Suite, belongs: Callable[[Example], bool]) -> Suite:
    parts = (replace(s, examples=tuple(e for e in s.examples if belongs(e))) for s in suite.splits)
    splits = tuple(split for split in parts if split.examples)
    ids = _ids(splits)
    subsets = {
        name: replace(subset, ids=tuple(i for i in subset.ids if i in ids.get(subset.of, ())))
        for name, subset in suite.subsets.items()
    }
    return replace(suite, splits=splits, subsets=subsets)


def _ids(splits: tuple[Split, ...]) -> Mapping[str, set[str]]:
    return {split.name: {example.id for example in split.examples} for split in splits}


def _chosen_by(reported: Declaration, selection: Declaration) -> Declaration:
    """What is shown is of the reported half, what decides while a stage trains is of the selection half."""
    return replace(reported, balance=selection.balance, alarm=selection.alarm, extraction=selection.extraction)
