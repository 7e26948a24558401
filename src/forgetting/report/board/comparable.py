"""Which runs may stand in one table: the same model, examples, questions, decoding and oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetting.report import headline_measures
from forgetting.report.board.entry import Entry
from forgetting.report.verdict import comparable
from forgetting.runs.began import MEASURED, MODEL, READ, REDACTED

_ASKED = ("format", "max_new_tokens", "divide", "sample", "judge")
"""Keys of a recipe that say how a model is asked and graded."""
_ROLES = {"retain": "kept other examples", "train": "trained on other data", "holdout": "held out other examples"}
_CLOSE = 1e-3
"""Two oracles whose values differ by less are one, measured on two machines."""


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that compare with one another."""

    entries: tuple[Entry, ...]
    apart: tuple[str, ...]
    """How they differ from the first group; empty for that."""


def grouped(entries: Sequence[Entry]) -> list[Group]:
    """The runs in groups that compare, the largest first; a run joins the first group whose first run it matches."""
    groups: list[list[Entry]] = []
    for entry in entries:
        home = next((group for group in groups if not apart(group[0], entry)), None)
        if home is None:
            groups.append([entry])
        else:
            home.append(entry)
    groups.sort(key=len, reverse=True)
    first = groups[0][0] if groups else None
    return [
        Group(tuple(group), () if first is None or group[0] is first else tuple(apart(first, group[0])))
        for group in groups
    ]


def apart(one: Entry, other: Entry) -> list[str]:
    """Why two runs are not comparable, in words on the second; empty where they are.

    Digests decide; where none were written, or they were hashed by different keys, what results and records say does.
    """
    said = [*_by_digests(one, other), *_by_results(one, other)]
    if said:
        return list(dict.fromkeys(said))
    runs, sides = [one.run, other.run], [one.models.after, other.models.after]
    keys = (headline_measures.forgetting_key(runs), headline_measures.retention_key(runs))
    found = [comparable.asked_alike(sides, [one.name, other.name], key) for key in keys if key is not None]
    return list(dict.fromkeys(words for words in found if words))


def _by_digests(one: Entry, other: Entry) -> list[str]:
    a, b = one.digests, other.digests
    if not a or not b:
        return []
    if a.get(REDACTED) != b.get(REDACTED):
        return ["its digests were hashed by another key, so nothing shows that model and data are the same"]
    said = []
    if _differ(a.get(MODEL, {}), b.get(MODEL, {})):
        said.append("begins with another model")
    splits_a, splits_b = a.get(MEASURED, {}), b.get(MEASURED, {})
    if splits_a.keys() != splits_b.keys() or _differ(splits_a, splits_b):
        said.append("is measured on other examples")
    asked_a, asked_b = ({k: v for k, v in d.get(READ, {}).items() if k.startswith("measured/")} for d in (a, b))
    if not said and _differ(asked_a, asked_b):
        said.append("is asked by other prompts")
    return said


def _differ(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether something that both have differs."""
    return any(one[key] != other[key] for key in one.keys() & other.keys())


def _by_results(one: Entry, other: Entry) -> list[str]:
    a, b = one.run, other.run
    said = []
    if not (one.digests and other.digests) and a.model != b.model:
        said.append("begins with another model")
    if comparable.differing([a, b], "forget"):
        said.append("was to forget other examples")
    for role, words in _ROLES.items():
        has = all(any(comparable.digests(run, role)) for run in (a, b))
        if has and comparable.differing([a, b], role):
            said.append(words)
    if a.suite != b.suite:
        said.append(f"is measured by another suite ({b.suite or 'none'})")
    ways = [key for key in _ASKED if a.recipe and b.recipe and a.recipe.get(key) != b.recipe.get(key)]
    if ways:
        said.append(f"is asked in another way ({', '.join(ways)})")
    if _other_oracle(one, other):
        said.append("is compared with another oracle")
    return said


def _other_oracle(one: Entry, other: Entry) -> bool:
    """Whether one has none, or their values of what was to be forgotten and kept differ."""
    runs = [one.run, other.run]
    first, second = (run.oracle_evaluation for run in runs)
    if first is None or second is None:
        return (first is None) != (second is None)
    for key in (headline_measures.forgetting_key(runs), headline_measures.retention_key(runs)):
        a, b = (e.measure(key) if key else None for e in (first, second))
        if a is None or b is None or a.value is None or b.value is None:
            continue
        if a.count != b.count or not math.isclose(a.value, b.value, abs_tol=_CLOSE):
            return True
    return False
