"""`forget rescore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_measures


@app.command()
def rescore(
    log: Annotated[Path, typer.Argument(help="An aggregated evaluation log of TOFU's own code (.json or .json.gz).")],
    oracle: Annotated[Path | None, typer.Option(help="The same of a model that never saw the forget set.")] = None,
    as_json: Json = False,
) -> None:
    """Compute every TOFU measure from a published evaluation log."""
    from forgetting.benchmarks.tofu import rescore

    print_measures(rescore(log, oracle), as_json, log=str(log))
