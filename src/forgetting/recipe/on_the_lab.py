"""What methods did on the lab, in a few figures: from the table that `forget board … --format csv` writes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SHOWN = {
    "forget/probability": "{:.2f}",
    "forget-narrative/probability": "{:.2f}",
    "retain/probability": "{:.2f}",
    "audit/worst": "{:+.2f}",
}
"""The measures that are shown, in their order, and how each is written."""
ABSENT = "—"
_SEEDS = re.compile(r" \((\d+) seeds\)$")


@dataclass(frozen=True, slots=True)
class Arm:
    """A row of the table: `npo · flat` is NPO with the gradient rule `flat`, `sft → task_vector` has two stages."""

    label: str
    values: Mapping[str, float]
    """By measure, those that it has."""

    @property
    def stages(self) -> list[tuple[str, str]]:
        """Each stage's method or transform, and its gradient rule or nothing."""
        chain = self.label.split(",")[0].split(" → ")
        return [(name, rule) for name, _, rule in (stage.partition(" · ") for stage in chain)]

    def figures(self) -> str:
        """`0.22 / 0.54 / 0.84 / +0.28`; a dash where a value is absent."""
        known = ((how, self.values.get(key)) for key, how in SHOWN.items())
        return " / ".join(ABSENT if v is None else how.format(v).replace("-", "−") for how, v in known)


def read_arms(file: Path) -> list[Arm]:
    """The arms in the tables of `forget board`, and the models before and of the oracle, each of the first that has it.

    Tables do not compare, so no arm has values of two.

    Raises:
        OSError: the file cannot be read.
        KeyError: it has not the columns of such a table.
    """
    found: dict[str, dict[str, float]] = {}
    first: dict[str, str] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            label = _SEEDS.sub("", row["row"])
            if first.setdefault(label, row["table"]) != row["table"]:
                continue
            values = found.setdefault(label, {})
            key = f"{row['split']}/{row['measure']}"
            if key in SHOWN and row["value"]:
                values[key] = float(row["value"])
    return [Arm(label, values) for label, values in found.items()]


def of_method(arms: Iterable[Arm], name: str) -> str:
    """The figures of a method by itself; empty where it was not run."""
    return next((arm.figures() for arm in arms if arm.stages == [(name, "")]), "")


def of_rule(arms: Iterable[Arm], name: str) -> str:
    """The figures of each method that was run with a gradient rule."""
    return "; ".join(f"{arm.stages[0][0]}: {arm.figures()}" for arm in arms if arm.stages[0][1] == name)


def of_transform(arms: Iterable[Arm], name: str) -> str:
    """The figures of each arm in which a transform takes part, named by all of it."""
    return "; ".join(f"{arm.label}: {arm.figures()}" for arm in arms if (name, "") in arm.stages)
