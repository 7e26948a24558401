"""Analyses by name: functions from typed parameters to an `Analysis`."""

from __future__ import annotations

from collections.abc import Callable

from forgetting.analysis.compared import Analysis
from forgetting.core.registry import Registry

ANALYSES: Registry[Callable[..., Analysis]] = Registry(
    "analyses", "analysis", "a function that returns an analysis", typed=True
)


def register_analysis(
    name: str, *, needs: Callable[[], object] = lambda: None
) -> Callable[[Callable[..., Analysis]], Callable[..., Analysis]]:
    """Registers a function that returns an analysis under `name`.

    From another package: name the function in the entry-point group `forgetting.analyses` too.

    Args:
        name: in recipes and commands.
        needs: raises an error if a library that it needs is not installed. It is called before a model is loaded, and
            before a run whose recipe asks for the analysis.
    """
    return ANALYSES.register(name, needs=needs)
