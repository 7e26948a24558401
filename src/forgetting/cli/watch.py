"""`forget watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_table

if TYPE_CHECKING:
    from forgetting.report.watched import Watched


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="The folder of a run or of a sweep, finished or not.")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Look at a run or a sweep while it goes on: loss by term, forget and retain, time left; in a pipe once."""
    from forgetting.report.watched import watched
    from forgetting.terminal import watching

    if as_json:
        print_json(watched(folder).values)
        return
    last = watching(lambda ended: watched(folder, ended), every)
    if last is not None:
        _print(last)


def _print(found: Watched) -> None:
    print_line(found.headline)
    for columns, rows in found.tables:
        print_line()
        print_table(columns, rows)
