"""Runs beside each other: what all of them measured, paired differences on the same examples, what sets them apart."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgetting.core.errors import DataError, RunError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.dialogue import dialogue_f1
from forgetting.metrics.extraction import extraction_likelihood, extraction_strength, sequence_tokens
from forgetting.metrics.likelihood import (
    memorization_accuracy,
    option_probability,
    probability,
    teacher_forced_exact_match,
)
from forgetting.metrics.per_example import PerExample
from forgetting.metrics.score import by_split
from forgetting.metrics.statistics import Estimate, difference
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall
from forgetting.metrics.truth_ratio import truth_ratio_forget, truth_ratio_utility
from forgetting.runs.results import Results, labels

_PER_EXAMPLE = {
    what.name: what
    for what in (
        dialogue_f1,
        exact_match,
        extraction_strength,
        memorization_accuracy,
        option_probability,
        probability,
        rouge_l_f1,
        rouge_l_recall,
        sequence_tokens,
        teacher_forced_exact_match,
        truth_ratio_forget("mean_loss"),
        truth_ratio_forget("mean_probability"),
        truth_ratio_utility("mean_loss"),
        truth_ratio_utility("mean_probability"),
    )
}
"""Measures that are means over examples, by name."""
_NAMES = ("name", "output")
"""Keys of a recipe that only say what a run is called."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One run's measure less the first run's, on the examples that both measured."""

    run: str
    estimate: Estimate
    reason: str = ""
    """Why there is none."""

    @property
    def told_apart(self) -> bool:
        """Whether the 95% interval leaves out 0."""
        e = self.estimate
        return e.low is not None and e.high is not None and (e.low > 0 or e.high < 0)


@dataclass(frozen=True, slots=True)
class Shared:
    """One measure that every run has: its values, and the differences of all but the first run from the first."""

    key: str
    values: tuple[Measure, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs beside each other; the first is what the others are compared with."""

    runs: tuple[Results, ...]
    names: tuple[str, ...]
    shared: tuple[Shared, ...]
    only: Mapping[str, tuple[str, ...]]
    """By run, the measures that not all runs have."""
    recipes: tuple[tuple[str, tuple[Any, ...]], ...]
    """The keys of the recipes that differ, with each run's value (`...` where it has none)."""
    data: tuple[tuple[str, tuple[Any, ...]], ...]
    """Likewise roles whose examples differ, as `78 examples, 1f2e…`."""

    @property
    def caution(self) -> str:
        """What to know before values are read side by side; empty where all runs were measured alike."""
        suites = list(dict.fromkeys(run.suite or "no suite" for run in self.runs))
        if len(suites) == 1:
            return ""
        return (
            f"The runs were measured by different suites ({', '.join(suites)}): values of one name may be of different "
            "questions; paired differences are not."
        )


def compare(runs: Sequence[Results]) -> Compared:
    """What the runs have in common and what sets them apart, at the end of each.

    Raises:
        RunError: fewer than two runs, one of them twice, one that was not measured at its end, or no common measure.
    """
    _check(runs)
    names = labels(runs)
    found = [{m.key: m for m in run.after.measures} if run.after else {} for run in runs]
    keys = [key for key in found[0] if all(key in other for other in found)]
    if not any(all(f[key].value is not None for f in found) for key in keys):
        suites = "; ".join(f"{name}: {run.suite or 'no suite'}" for name, run in zip(names, runs, strict=True))
        raise RunError(f"no measure has a value in all of these runs ({suites}); compare runs that share a suite")
    records = [_records(run) for run in runs]
    shared = tuple(_shared(key, found, records, names) for key in keys)
    only = {
        name: tuple(key for key in f if key not in keys)
        for name, f in zip(names, found, strict=True)
        if f.keys() - {*keys}
    }
    written = [_flat(_without_names(run.recipe)) for run in runs]
    recipes = _differing(_stages_as_one(written)) if all(r.recipe for r in runs) else ()
    told = [] if any(run.redacted for run in runs) else runs  # keyed digests of equal data differ
    data = _differing([{role: _facts(said) for role, said in run.data.items()} for run in told])
    return Compared(tuple(runs), tuple(names), shared, only, recipes, data)


def _check(runs: Sequence[Results]) -> None:
    if len(runs) < 2:
        raise RunError("one run cannot be compared with itself; name two or more run folders")
    folders = [run.folder.resolve() for run in runs]
    twice = next((run for i, run in enumerate(runs) if folders[i] in folders[:i]), None)
    if twice is not None:
        raise RunError(f"{twice.folder}: is named twice; name each run once")
    unmeasured = next((run for run in runs if run.after is None or not run.after.measures), None)
    if unmeasured is not None:
        raise RunError(
            f"{unmeasured.folder}: was not measured at its end, so there is nothing to compare; run it again"
        )


def _records(run: Results) -> dict[str, list[Record]]:
    return by_split(run.records(run.after), f"{run.folder}: the records at its end")


def _shared(
    key: str,
    found: Sequence[Mapping[str, Measure]],
    records: Sequence[Mapping[str, Sequence[Record]]],
    names: Sequence[str],
) -> Shared:
    first = _values_of(found[0][key], records[0])
    differences = tuple(
        _difference(key, names[i], first, _values_of(found[i][key], records[i])) for i in range(1, len(found))
    )
    return Shared(key, tuple(f[key] for f in found), differences)


def _values_of(measure: Measure, records: Mapping[str, Sequence[Record]]) -> tuple[PerExample, Sequence[Record]] | str:
    """What one record of the measure is worth, and its records; or why there is no such thing.

    That the records' mean is the measure's value is checked: a metric of another kind may bear the same name, and
    records of a redacted run no longer hold the words that were scored.
    """
    name, bracket, kind = measure.name.removesuffix("]").partition("[")
    what = _per_example(name)
    if what is None:
        return "not a mean over examples"
    members = [r for r in records.get(measure.split, ()) if not bracket or r.kind == kind]
    if not members:
        return "no records were kept"
    values = [v for r in members if (v := what.value_of(r)) is not None and not math.isnan(v)]
    if measure.value is None:
        return measure.reason or "no value"
    if not values or not math.isclose(float(np.mean(values)), measure.value, rel_tol=1e-6, abs_tol=1e-9):
        return "its records do not give its value again"
    return what, members


def _per_example(name: str) -> PerExample | None:
    extraction = re.fullmatch(r"el_(\d+)", name)
    return extraction_likelihood(int(extraction[1])) if extraction else _PER_EXAMPLE.get(name)


def _difference(
    key: str,
    name: str,
    first: tuple[PerExample, Sequence[Record]] | str,
    other: tuple[PerExample, Sequence[Record]] | str,
) -> Difference:
    for side in (other, first):
        if isinstance(side, str):
            return Difference(name, Estimate(None, 0), side)
    assert not isinstance(first, str) and not isinstance(other, str)
    what, after = other
    before = {record.id: record for record in first[1]}
    same = [r for r in after if r.id in before and _same_question(r, before[r.id])]
    if not same:
        asked = sum(r.id in before for r in after)
        return Difference(
            name, Estimate(None, 0), "the same ids are other questions" if asked else "no example in common"
        )
    try:
        estimate = difference(same, [before[r.id] for r in same], what.value_of, key=key)
    except DataError as error:
        return Difference(name, Estimate(None, 0), str(error))
    return Difference(name, estimate, estimate.reason)


def _same_question(one: Record, other: Record) -> bool:
    return (one.prompt, one.answer) == (other.prompt, other.answer)


def _without_names(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key not in _NAMES}


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Values by dotted key; stages by their name, other lists whole."""
    names = [v.get("name") for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []
    if names and all(names) and len(set(names)) == len(value):
        value = {str(v["name"]): {k: x for k, x in v.items() if k != "name"} for v in value}
    if not isinstance(value, Mapping) or not value:
        return {place: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{place}.{key}" if place else str(key))
    return found


def _stages_as_one(sides: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A stage that some runs lack is one line, its method, instead of one for each of its keys."""
    names = [{key.split(".")[1] for key in side if key.startswith("stages.")} for side in sides]
    partly = {f"stages.{name}" for some in names for name in some if any(name not in other for other in names)}

    def short(side: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in side.items() if ".".join(key.split(".")[:2]) not in partly}
        return kept | {name: side[f"{name}.method.name"] for name in sorted(partly) if f"{name}.method.name" in side}

    return [short(side) for side in sides]


def _differing(sides: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    keys = dict.fromkeys(key for side in sides for key in side)
    rows = [(key, tuple(side.get(key, ...) for side in sides)) for key in keys]
    return tuple((key, values) for key, values in rows if any(value != values[0] for value in values))


def _facts(said: Mapping[str, Any]) -> str:
    return f"{said.get('examples')} examples, {str(said.get('sha256', ''))[:8]}"
