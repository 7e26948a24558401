"""Metrics by name, as a recipe's `metrics:` asks for them beside those of its suites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetting.core.errors import RecipeError
from forgetting.core.measure import Direction, Measure
from forgetting.core.registry import Registry
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import PerExample, mean

Make = Callable[..., PerExample | Metric]
"""A function of typed parameters that returns a number per record, or a whole metric."""

METRICS: Registry[Make] = Registry(
    "metrics",
    "metric",
    "a function that returns a PerExample or a Metric",
    modules=["forgetting.metrics.named"],
    typed=True,
)


def register_metric(name: str) -> Callable[[Make], Make]:
    """Registers a function under `name`; a recipe may set its parameters: `metrics: [{name: …, parameter: …}]`.

    What it returns is a `PerExample` (a number of one record: a recipe gets its mean over every split) or a `Metric`
    (any function of the records by split). From another package: name the function in the entry-point group
    `forgetting.metrics` too.
    """
    return METRICS.register(name)


def build_metric(name: str, parameters: Mapping[str, Any] | None = None) -> PerExample | Metric:
    """The metric `name` with these parameters.

    Raises:
        RecipeError: unknown name or parameter (the nearest is given), a value of another type, or no metric.
    """
    found = METRICS.build(name, parameters)
    if not isinstance(found, PerExample) and not callable(found):
        raise RecipeError(f"metric '{name}' of {METRICS.get(name).source} returns {type(found).__name__}, not a metric")
    return found


def on_splits(
    what: PerExample | Metric,
    splits: Sequence[str],
    *,
    direction: Direction | None = None,
    without: frozenset[str] = frozenset(),
) -> Metric:
    """A metric of these splits alone.

    Args:
        what: a number per record, of which the mean is taken, or a metric, which sees no other splits.
        splits: by name; each is there, empty where no record is of it.
        direction: which way is good, if it is to be said; a mean has none otherwise.
        without: keys of measures that are taken already, and are left out.
    """
    metric = mean(what, splits, direction or "none") if isinstance(what, PerExample) else what

    def seen(records: Splits) -> Splits:
        return {split: records.get(split, ()) for split in splits}

    def measures(records: Splits, oracle: Splits | None) -> list[Measure]:
        found = metric(seen(records), None if oracle is None else seen(oracle))
        directed = [replace(m, direction=direction) if direction else m for m in found]
        return [m for m in directed if m.key not in without]

    return measures
