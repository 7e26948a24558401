"""Analyses by name: functions from typed parameters to an `Analysis`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from forgetting.analysis.compared import Analysis
from forgetting.analysis.cost import Count
from forgetting.core.registry import Registry

ANALYSES: Registry[Callable[..., Analysis]] = Registry(
    "analyses", "analysis", "a function that returns an analysis", typed=True
)


def register_analysis(
    name: str,
    *,
    needs: Callable[[], object] = lambda: None,
    check: Callable[[nn.Module, Mapping[str, Any]], object] = lambda model, parameters: None,
    cost: Count | None = None,
    oracle: bool = True,
) -> Callable[[Callable[..., Analysis]], Callable[..., Analysis]]:
    """Registers a function that returns an analysis under `name`.

    From another package: name the function in the entry-point group `forgetting.analyses` too.

    Args:
        name: in recipes and commands.
        needs: raises an error if a library that it needs is not installed. It is called before a model is loaded, and
            before a run whose recipe asks for the analysis.
        check: raises an error if the parameters do not fit the model, or name what is not there. It is called with all
            parameters and the model before, before a run whose recipe asks for the analysis.
        cost: what it costs, from the sizes of models and examples (`analysis.cost`); None: it is not said beforehand.
        oracle: whether it reads `Compared.oracle`, which is None if no analysis that is asked for does.
    """
    return ANALYSES.register(name, needs=needs, check=check, cost=cost, oracle=oracle)
