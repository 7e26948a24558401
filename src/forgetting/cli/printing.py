"""What the commands print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from forgetting.core.errors import ForgettingError
from forgetting.core.launch import launched, launched_first, left_alone
from forgetting.core.text import plain

if TYPE_CHECKING:
    from forgetting.core.measure import Measure
    from forgetting.core.progress import Voice


def print_measures(measures: Sequence[Measure], as_json: bool, **about: str) -> None:
    """Measures as a table, or as one JSON document with what they are about."""
    from dataclasses import asdict

    if as_json:
        print_json({**about, "measures": [asdict(m) for m in measures]})
        return
    rows = [
        [
            m.split,
            m.name,
            _number(m.value),
            _interval(m.low, m.high),
            str(m.count),
            m.meaning if not m.reason else m.reason,
        ]
        for m in measures
    ]
    print_table(["split", "metric", "value", "95% interval", "n", "meaning"], rows)


def raise_if_collapsed(folder: Path) -> None:
    """Ends a command whose run collapsed with the line that says so."""
    from forgetting.core.errors import CollapseError
    from forgetting.runs.results import Results

    for stage in Results.load(folder).stages:
        if stage.stopped == "collapse":
            raise CollapseError(f"stage '{stage.name}' collapsed at {stage.message} (kept: {stage.kept})")


@contextmanager
def speaking(*, quiet: bool = False, together: bool = False) -> Iterator[Voice]:
    """A voice for long work: see `forgetting.terminal`, which is imported only where something is printed.

    Args:
        together: several processes of a launcher may do this work; the first prints. Other work is done by one.
    """
    from forgetting.terminal import speaking

    with speaking(quiet=quiet or not launched_first()) as voice, _joined(together):
        if left_alone():
            voice.say(
                "accelerate launch --cpu started one process; torchrun --nproc-per-node N -m forgetting … starts N"
            )
        yield voice


@contextmanager
def _joined(together: bool) -> Iterator[None]:
    if not launched():
        yield
    elif together:
        from forgetting.core import processes

        with processes.together():
            yield
    else:
        raise ForgettingError("this command runs in one process; start it without torchrun or accelerate launch")


def print_runs(runs: list[Path]) -> None:
    """The verdict in one line (and one for each of several requests), then the main table of the report."""
    from forgetting.report.aligned import aligned
    from forgetting.report.table import main_table
    from forgetting.report.verdict.several_runs import comparison
    from forgetting.runs.unfinished import results_so_far

    results = [results_so_far(run) for run in runs]
    judged = comparison(results)
    for line in (judged.headline, *(f"{finding.topic}: {finding.text}" for finding in judged.requests)):
        print(" ".join(line.split()))
    print()
    print_table(*main_table(aligned(results)).plain())


def print_goals(folder: Path) -> None:
    """What the report says of the run's goals, of requests of this run and earlier ones, and of stages that did little.

    What the headline has said in these words is left out.
    """
    from forgetting.report.verdict.verdict import verdict
    from forgetting.runs.results import Results

    judged = verdict(Results.load(folder))
    for finding in judged.findings:
        if finding.topic in ("Goal", "Movement", "Request", "Earlier requests") and finding.text not in judged.failed:
            print_line(finding.text)


def print_summaries(what: str, found: dict[str, str], as_json: bool) -> None:
    """What there is, by its name: `recipe`, and a line on each."""
    if as_json:
        print_json(found)
    else:
        print_table([what, "what it is for"], [[name, summary] for name, summary in found.items()])


def print_line(text: object = "", *, to_error: bool = False) -> None:
    """One or more lines of plain text. Like every function here, it is safe for text that data and models bring."""
    print(plain(str(text)), file=sys.stderr if to_error else sys.stdout)


def print_json(value: object, *, indent: int | None = None) -> None:
    """One JSON document; what a terminal would obey is spelled as JSON spells it, and reads as the same value."""
    print(plain(json.dumps(value, ensure_ascii=False, indent=indent, default=str)))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """One table on standard output."""
    from forgetting.terminal import print_table

    print_table(columns, rows)


def value_words(measure: Measure) -> str:
    """A value with its interval; why there is none where there is none."""
    if measure.value is None:
        return f"— ({measure.reason})" if measure.reason else "—"
    between = _interval(measure.low, measure.high)
    return f"{_number(measure.value)} ({between})" if between else _number(measure.value)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3g} … {high:.3g}"
