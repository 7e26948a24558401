"""The settings of a benchmark and its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Plan:
    """How thoroughly to measure."""

    quick: bool
    """A smoke test: everything runs, the numbers mean nothing."""
    rounds: int
    """How often each measurement is repeated, interleaved with the others."""
    threads: int | None
    """Per process; None: the benchmark's own choice."""
    say: Callable[[str], None]
    device: str = "cpu"
    """Where the benchmark for one GPU runs; the others run on the processor."""
    out: Path | None = None
    """The folder of results that are written as they come; None: the benchmark's own."""
    limit: float | None = None
    """Seconds for all of it; None: the benchmark's own."""


@dataclass(frozen=True)
class Report:
    """The outcome of one benchmark: for reading, and as plain JSON values."""

    table: Table
    data: dict[str, Any]


Benchmark = Callable[[Plan], Report]
