"""Commands that measure models and report on runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_measures, print_runs, speaking
from forgetting.core.launch import launched_first


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, a hub id, or a suite's model such as 'lab'.")],
    suite: Annotated[str | None, typer.Option(help="A suite (see `forget suites`).")] = None,
    forget: Annotated[str | None, typer.Option(help="A file of forget examples, instead of a suite.")] = None,
    retain: Annotated[str | None, typer.Option(help="A file of retain examples, instead of a suite.")] = None,
    oracle: Annotated[str | None, typer.Option(help="A model that never saw the forget set, or its records.")] = None,
    records: Annotated[Path | None, typer.Option(help="Write the records to this .jsonl file.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on a suite or on your own files."""
    from forgetting.pipeline.evaluate import evaluate

    data = {role: path for role, path in (("forget", forget), ("retain", retain)) if path is not None}
    with speaking(quiet=as_json, together=True) as voice:
        found = evaluate(model, suite=suite, data=data, oracle=oracle, records=records, voice=voice)
    if launched_first():
        print_measures(found.measures, as_json, model=model, suite=found.suite)


@app.command()
def rescore(
    log: Annotated[Path, typer.Argument(help="An aggregated evaluation log of TOFU's own code (.json or .json.gz).")],
    oracle: Annotated[Path | None, typer.Option(help="The same of a model that never saw the forget set.")] = None,
    as_json: Json = False,
) -> None:
    """Compute every TOFU measure from a published evaluation log."""
    from forgetting.benchmarks.tofu import rescore

    print_measures(rescore(log, oracle), as_json, log=str(log))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="One or more run folders.")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file to write; default: report.html in the first run.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The report's title.")] = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML report of one run or several."""
    from forgetting.report.build import build_report

    path = build_report(runs, out or runs[0] / "report.html", title=title)
    if as_json:
        from forgetting.report.results import Results
        from forgetting.report.table import main_table

        print(json.dumps({"report": str(path), **main_table([Results.load(run) for run in runs]).as_json()}))
    else:
        print_runs(runs)
        print(f"report: {path}")
