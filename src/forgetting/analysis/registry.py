"""Analyses by name: functions from typed parameters to an `Analysis`."""

from __future__ import annotations

from collections.abc import Callable

from forgetting.analysis.compared import Analysis
from forgetting.core.registry import Registry

ANALYSES: Registry[Callable[..., Analysis]] = Registry(
    "analyses", "analysis", "a function that returns an analysis", typed=True
)


def register_analysis(name: str) -> Callable[[Callable[..., Analysis]], Callable[..., Analysis]]:
    """Registers a function that returns an analysis under `name`.

    From another package: name the function in the entry-point group `forgetting.analyses` too.
    """
    return ANALYSES.register(name)
