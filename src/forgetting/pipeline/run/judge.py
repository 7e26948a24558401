"""Ends a run before its time, by what was measured on the way: a trial that others of a tuning are ahead of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from forgetting.metrics.balance import NAME
from forgetting.metrics.utility import ALL
from forgetting.runs.folder import RunFolder

Judge = Callable[[Mapping[int, float]], str]
"""The balance by step, up to now → why the run ends here; empty: it goes on."""


class PrunedError(Exception):
    """The run was ended by its judge; its message is why."""


def balances(folder: RunFolder, stage: str, until: int | None = None) -> dict[int, float]:
    """The balance at every evaluation in the middle of a stage, by step; those without one are left out.

    Args:
        folder: the run's.
        stage: its name.
        until: leave out later steps; None: none.

    Raises:
        RunError: an evaluation is damaged.
    """
    found = {}
    for evaluation in folder.evaluations.all() if folder.evaluations_folder.is_dir() else ():
        measure = evaluation.measure(f"{ALL}/{NAME}")
        on_the_way = evaluation.point == "epoch" and evaluation.stage == stage
        if on_the_way and measure is not None and measure.value is not None:
            found[evaluation.step] = measure.value
    return {step: found[step] for step in sorted(found) if until is None or step <= until}
