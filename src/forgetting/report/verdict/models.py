"""The models of a run that a verdict compares: before, after, and one that never saw the forget set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.report import wording
from forgetting.report.verdict.intervals import amount
from forgetting.report.verdict.paired import Side
from forgetting.runs.results import Results

_TRAINS = "sft"
"""The method that only learns."""


@dataclass(frozen=True)
class Models:
    """The start, the end and the oracle of one run."""

    run: Results
    before: Side
    after: Side
    oracle: Side

    @classmethod
    def of(cls, run: Results) -> Models:
        """Those of a finished run."""
        return cls(run, Side(run, run.before), Side(run, run.after), Side(run, run.oracle_evaluation))


def asked_to_forget(run: Results) -> bool | None:
    """Whether a stage was to forget something; None where the run does not say what it was given.

    A run says it of its stages. An earlier version did not, nor does a transform that reads no data: beside stages that
    only learn it forgets nothing; else the data say it that were given. An evaluation trains nothing.
    """
    trained = [stage for stage in run.stages if stage.transform is None]
    if any(stage.forgets for stage in run.stages):
        return True
    if run.evaluated or (trained and all(stage.forgets is False or stage.method == _TRAINS for stage in trained)):
        return False
    roles = {name.split(" ")[0] for name in run.data}
    return "forget" in roles if roles else None


def stage_of(run: Results, split: str) -> str | None:
    """The stage whose own set a split is: the longest name that it begins with, after the label of its suite.

    A suite that bears a stage's name is that stage's own.
    """
    evaluate, names = run.recipe.get("evaluate"), [stage.name for stage in run.stages]
    label = _start(split, list(evaluate) if isinstance(evaluate, Mapping) else [])
    return _start(split.removeprefix(f"{label}-"), names) or (label if label in names else None)


def _start(split: str, names: Sequence[str]) -> str | None:
    """The longest of the names that a split begins with."""
    return max((name for name in names if split.startswith(f"{name}-")), key=len, default=None)


def path(models: Models, key: str, aside: str = "") -> str:
    """`forget · probability went from 0.890 (…) to 0.070 (…); the oracle has 0.210 (…)`."""
    before, after, oracle = (side.value(key) for side in (models.before, models.after, models.oracle))
    assert after is not None
    exact = before is not None and amount(before) != amount(after) and _said(before) == _said(after)
    start = f"went from {_said(before, exact)} to" if before else "is (its start was not measured)"
    text = f"{wording.title(after)} {start} {_said(after, exact)}"
    aside = f", {aside}," if aside else ""
    return f"{text}; the oracle{aside} has {_said(oracle)}" if oracle else text


def capital(text: str) -> str:
    """With a capital letter first; the rest as it is, so that names keep theirs."""
    return text[:1].upper() + text[1:]


def _said(measure: Measure, exact: bool = False) -> str:
    """`0.890 (0.850-0.930)`; `exact`: three digits that count, where three decimals would hide a difference."""
    interval = wording.interval_text(measure)
    value = wording.number(measure.value) if exact else wording.value_text(measure)
    return f"{value} ({interval})" if interval else value
