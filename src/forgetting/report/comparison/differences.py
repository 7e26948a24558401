"""Runs beside each other: what all of them measured, paired differences on the same examples, what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.metrics.score import by_split
from forgetting.metrics.statistics import Estimate
from forgetting.report.aligned import aligned, renamed
from forgetting.report.verdict.paired import Side, paired
from forgetting.runs.results import Results, labels

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

    given: tuple[Results, ...]
    runs: tuple[Results, ...]
    """The same under common names of their splits."""
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
        said = renamed(self.given)
        suites = list(dict.fromkeys(run.suite or "no suite" for run in self.runs))
        if len(suites) > 1:
            said.append(
                f"The runs were measured by different suites ({', '.join(suites)}): values of one name may be of "
                "different questions; paired differences are not."
            )
        return " ".join(said)


def compare(runs: Sequence[Results]) -> Compared:
    """What the runs have in common and what sets them apart, at the end of each.

    Raises:
        RunError: fewer than two runs, one of them twice, one that was not measured at its end, records that cannot be
            read, or no common measure.
    """
    _check(runs)
    names, given, runs = labels(runs), runs, aligned(runs)
    found = [{m.key: m for m in run.after.measures} if run.after else {} for run in runs]
    keys = [key for key in found[0] if all(key in other for other in found)]
    if not any(all(f[key].value is not None for f in found) for key in keys):
        suites = "; ".join(f"{name}: {run.suite or 'no suite'}" for name, run in zip(names, runs, strict=True))
        raise RunError(f"no measure has a value in all of these runs ({suites}); compare runs that share a suite")
    for run in runs:
        by_split(run.records(run.after), f"{run.folder}: the records at its end")  # raises where they cannot be read
    sides = [Side(run, run.after) for run in runs]
    shared = tuple(_shared(key, sides, names) for key in keys)
    only = {
        name: tuple(key for key in f if key not in keys)
        for name, f in zip(names, found, strict=True)
        if f.keys() - {*keys}
    }
    written = [_flat(_without_names(run.recipe)) for run in runs]
    recipes = _differing(_stages_as_one(written)) if all(r.recipe for r in runs) else ()
    told = [] if any(run.redacted for run in runs) else runs  # keyed digests of equal data differ
    data = _differing([{role: _facts(said) for role, said in run.data.items()} for run in told])
    return Compared(tuple(given), tuple(runs), tuple(names), shared, only, recipes, data)


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


def _shared(key: str, sides: Sequence[Side], names: Sequence[str]) -> Shared:
    estimates = [paired(key, side, sides[0]) for side in sides[1:]]
    differences = tuple(Difference(n, e, e.reason) for n, e in zip(names[1:], estimates, strict=True))
    measures = [side.evaluation.measure(key) for side in sides if side.evaluation]
    return Shared(key, tuple(m for m in measures if m), differences)


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
