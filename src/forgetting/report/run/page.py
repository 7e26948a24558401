"""Run folders → one HTML file that needs no network and runs no script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.report import headline_measures, wording
from forgetting.report.aligned import aligned
from forgetting.report.audits.beside import beside
from forgetting.report.audits.figure import after_attack
from forgetting.report.audits.section import audited
from forgetting.report.drawing import curves
from forgetting.report.run.answers import compare_answers
from forgetting.report.run.corpus import corpora
from forgetting.report.run.cost import bills, cost_figure
from forgetting.report.run.inside import inside
from forgetting.report.run.judged import judgements
from forgetting.report.run.popularity import section
from forgetting.report.run.tradeoff import path, tradeoff
from forgetting.report.table import main_table
from forgetting.report.template import page, write_out
from forgetting.report.tokens.section import qualities
from forgetting.report.verdict.finetuning import forgets_nothing
from forgetting.report.verdict.several_runs import comparison
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.pages import beside as beside_runs
from forgetting.runs.pages import check_page
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results, labels
from forgetting.runs.unfinished import results_so_far


@dataclass(frozen=True, slots=True)
class Missing:
    """One measure without a value: where, and why."""

    title: str
    where: str
    reason: str


def build_report(runs: Sequence[Path], out: Path, *, title: str | None = None) -> Path:
    """Writes the report of one run, or of several side by side, and returns its path.

    Of a run that is not finished it shows what is there by now, and says first that it is not.

    The file holds everything it shows: style and figures are inline, no script, and its content policy forbids any
    request. All text from recipes, data and models is escaped. It is written beside `out` and renamed.

    Raises:
        RunError: no run, a folder that is not a run, a record or history file that cannot be read, or `out` that cannot
            be written or is the report of another run.
    """
    if not runs:
        raise RunError("no run folder was given; name at least one")
    check_page(out, runs)
    write_out(out, render([results_so_far(folder) for folder in runs], title=title))
    return out


def page_of(runs: Sequence[Path]) -> Path:
    """Where the report of these runs is written by default.

    In the run's folder; that of a run which is not finished does not take the place of the report at its end. Of
    several runs beside the first.
    """
    if len(runs) > 1:
        return beside_runs(runs, "report")
    own = RunPaths(runs[0])
    return own.report_file if own.is_finished else own.so_far_file


def render(runs: Sequence[Results], *, title: str | None = None) -> str:
    """The page as text."""
    return page("run.html.j2", **_context(runs, title))


def _context(runs: Sequence[Results], title: str | None) -> dict[str, Any]:
    names, given, runs = labels(runs), runs, aligned(runs)
    audits = beside(given) if len(runs) > 1 else None
    return {
        "title": title or (names[0] if len(runs) == 1 else f"{len(runs)} runs compared"),
        "runs": runs,
        "names": names,
        "series": curves.series(runs),
        "redactions": _redactions(runs),
        "marks": [curves.legend_mark(one) for one in curves.series(runs)],
        "audits": audited(given),
        "beside": audits,
        "after_attack": None if audits is None else after_attack(audits, curves.series(runs)),
        "verdict": comparison(given),
        "verdicts": [verdict(run) for run in given] if len(runs) > 1 else [],
        "table": main_table(runs),
        "tradeoff": tradeoff(runs),
        "forgets": not all(forgets_nothing(run) for run in runs),
        "path": path(runs),
        "bills": bills(runs),
        "cost_figure": cost_figure(runs),
        "curves": curves.curves(runs),
        "oracles": sum(run.oracle_evaluation is not None for run in runs),
        "measured": any(e.point == "epoch" and e.measures for run in runs for e in run.evaluations),
        "losses": curves.losses(runs),
        "popularity": section(runs),
        "judgements": judgements(runs),
        "qualities": qualities(runs),
        "inside": inside(runs),
        "answers": compare_answers(runs),
        "everything": main_table(runs, headline_measures.all_keys(runs)),
        "data": _data(runs),
        "corpora": corpora(runs),
        "environment": _environment(runs),
        "missing": _missing(runs),
    }


def _redactions(runs: Sequence[Results]) -> list[str]:
    """Which runs' texts are not there, and why."""
    names = labels(runs)
    purged = [(name, run.purged) for name, run in zip(names, runs, strict=True) if run.purged]
    hidden = [name for name, run in zip(names, runs, strict=True) if run.redacted and not run.purged]
    of = f" of {wording.join(hidden)}" if hidden and len(hidden) < len(runs) else ""
    said = [f"Redacted: the texts{of} were never written; numbers are those of the texts."] if hidden else []
    return said + [
        f"Purged{f' ({name})' if len(runs) > 1 else ''}: texts, checkpoints and caches were removed on "
        f"{wording.moment(when)}; numbers are those of the texts."
        for name, when in purged
    ]


def _missing(runs: Sequence[Results]) -> list[Missing]:
    """Every measure without a value, by its place; equal reasons of several places are one entry."""
    found: dict[tuple[str, str], list[str]] = {}
    table = main_table(runs, headline_measures.all_keys(runs))
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.reason:
                found.setdefault((column.title, cell.reason), []).append(row.label)
    return [Missing(title, wording.join(places), reason) for (title, reason), places in found.items()]


def _data(runs: Sequence[Results]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Runs, role and facts of each distinct set of examples."""
    found: dict[tuple[str, str], tuple[list[str], Mapping[str, Any]]] = {}
    for run, name in zip(runs, labels(runs), strict=True):
        for role, facts in run.data.items():
            key = (role, json.dumps(facts, sort_keys=True, default=str))
            found.setdefault(key, ([], facts))[0].append(name)
    every = len(runs)
    return [
        (role, "" if len(names) == every else wording.join(names), facts) for (role, _), (names, facts) in found.items()
    ]


def _environment(runs: Sequence[Results]) -> list[tuple[str, list[str]]]:
    """Each key of the runs' environments with its value per run; one value where all agree."""
    keys = dict.fromkeys(key for run in runs for key in run.environment)
    rows = [(key, [wording.one_line(run.environment.get(key)) for run in runs]) for key in keys]
    return [(key, values[:1] if len(set(values)) == 1 else values) for key, values in rows]
