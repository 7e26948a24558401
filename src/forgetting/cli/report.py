"""`forget report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_runs


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="One or more run folders, finished or not.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The HTML file to write; default: report.html in the run (report-so-far.html before its end); of "
            "several, a file beside them."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The report's title.")] = None,
    form: Annotated[
        Literal["html", "latex", "md", "csv"],
        typer.Option(
            "--format",
            help="html: the page. latex, md: the main table. csv: every measure. Without --out they are printed.",
        ),
    ] = "html",
    figures: Annotated[
        Path | None, typer.Option(help="A folder for the page's figures as files, with their legends.")
    ] = None,
    figure_format: Annotated[
        Literal["svg", "pdf", "png"], typer.Option(help="Of --figures; pdf and png need forgetting[figures].")
    ] = "svg",
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML report of one run or several; or its tables and figures for a paper."""
    if figures is None and figure_format != "svg":
        from forgetting.core.errors import RecipeError

        raise RecipeError("--figure-format is that of --figures; write --figures FOLDER too")
    if figures is not None:
        from forgetting.report.run.figures import write_figures

        drawn = write_figures(runs, figures, figure_format)
        print_line(f"{len(drawn)} figures: {figures}", to_error=as_json or form != "html")
    if form != "html":
        _print_table(runs, form, out, as_json)
        return
    from forgetting.report.run.page import build_report, page_of

    path = build_report(runs, out or page_of(runs), title=title)
    if as_json:
        from forgetting.report.aligned import aligned
        from forgetting.report.headline_measures import in_front_first
        from forgetting.report.table import main_table
        from forgetting.report.verdict.changes import changes
        from forgetting.runs.results import labels
        from forgetting.runs.unfinished import results_so_far

        found = aligned([results_so_far(run) for run in runs])
        keys = in_front_first(found)
        moved = {name: changes(run, keys) for name, run in zip(labels(found), found, strict=True)}
        print_json({"report": str(path), **main_table(found, keys).as_json(), "changes": moved})
    else:
        print_runs(runs)
        print_line(f"report: {path}")


def _print_table(runs: list[Path], form: str, out: Path | None, as_json: bool) -> None:
    from forgetting.core.errors import RecipeError
    from forgetting.core.folder import check_suffix, write_text
    from forgetting.report.exported import FORMATS
    from forgetting.runs.results import Results

    if as_json:
        raise RecipeError(f"--json and --format {form} are two forms of one table; choose one")
    suffix, table = FORMATS[form]
    if out is not None:
        check_suffix(out, suffix)
    text = table([Results.load(run) for run in runs])
    if out is None:
        print_line(text.removesuffix("\n"))
    else:
        write_text(out, text.encode("utf-8", errors="backslashreplace").decode("utf-8"))
        print_line(f"{form}: {out}")
