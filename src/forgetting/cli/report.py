"""`forget report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_runs
from forgetting.runs.paths import RunPaths, beside


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="One or more run folders.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The HTML file to write; default: report.html in the run; of several, a file beside them."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The report's title.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML report of one run or several."""
    from forgetting.report.run.page import build_report

    own = RunPaths(runs[0]).report_file if len(runs) == 1 else beside(runs, "report")
    path = build_report(runs, out or own, title=title)
    if as_json:
        from forgetting.report.aligned import aligned
        from forgetting.report.headline_measures import in_front_first
        from forgetting.report.table import main_table
        from forgetting.report.verdict.changes import changes
        from forgetting.runs.results import Results, labels

        found = aligned([Results.load(run) for run in runs])
        keys = in_front_first(found)
        moved = {name: changes(run, keys) for name, run in zip(labels(found), found, strict=True)}
        print_json({"report": str(path), **main_table(found, keys).as_json(), "changes": moved})
    else:
        print_runs(runs)
        print_line(f"report: {path}")
