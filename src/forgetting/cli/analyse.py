"""The command that compares what is inside a run's models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_measures, speaking
from forgetting.runs.paths import RunPaths


@app.command()
def analyse(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Parameters of analyses: NAME.PARAMETER=VALUE.")] = None,
    of: Annotated[
        list[str] | None, typer.Option(help="An analysis; several: the option several times. Default: all.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="The model that changed: after (the run), or stage:NAME for the one after that stage.")
    ] = "after",
    against: Annotated[
        str, typer.Option(help="The model that changes are counted from: before, oracle, stage:NAME, or another run.")
    ] = "before",
    oracle: Annotated[
        str | None, typer.Option(help="A model that never saw the forget set. Default: the run's own.")
    ] = None,
    facts: Annotated[int, typer.Option(min=1, help="At most so many forget examples.")] = 400,
    as_json: Json = False,
) -> None:
    """Analyse what changed inside a run's model: how far weights and hidden states moved, how answers shifted."""
    from forgetting.pipeline.finished_run.analyse import analyse
    from forgetting.pipeline.finished_run.plugged import read_settings
    from forgetting.report.run.page import build_report

    given = read_settings(settings or [])
    with speaking(quiet=as_json) as voice:
        found = analyse(
            run, of=of or (), settings=given, at=at, against=against, oracle=oracle, facts=facts, voice=voice
        )
    build_report([run], RunPaths(run).report_file)
    if as_json:
        from dataclasses import asdict

        print_json({"run": str(run), "analyses": [asdict(a) for a in found]})
        return
    for analysed in found:
        of_stage = "" if analysed.at == "after" else f" at {analysed.at}"
        print_line(f"{analysed.analysis}{of_stage}, changes since {analysed.against}")
        print_measures(analysed.measures, as_json=False)
        print_line()
    print_line(f"report: {RunPaths(run).report_file}")
