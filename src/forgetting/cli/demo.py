"""`forget demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import app
from forgetting.cli.printing import print_line, print_runs, speaking
from forgetting.runs.paths import SweepPaths


@app.command()
def demo(
    output: Annotated[str, typer.Option(help="Folder for the runs and the report.")] = "runs",
    forget: Annotated[str, typer.Option(help="Which facts: rare or popular.")] = "rare",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Unlearn 78 facts of a small model with GradDiff, NPO and LoKU, and compare them with an oracle."""
    from forgetting.pipeline.sweep.demo import run_demo

    with speaking() as voice:
        report = run_demo(Path(output), forget=forget, threads=threads, voice=voice)
    print_runs([report.parent / name for name in json.loads(SweepPaths(report.parent).chosen_file.read_text())])
    print_line(f"report: {report}")
