"""`forget compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_table
from forgetting.runs.pages import beside


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders; the first is compared with.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file to write; default: one beside the first run.")] = None,
    as_json: Json = False,
) -> None:
    """Compare runs: measures side by side, paired differences, what differs in the recipes, costs."""
    from forgetting.report.comparison.page import as_json as values
    from forgetting.report.comparison.page import build_comparison, tables

    path = out or beside(runs, "compare")
    found = build_comparison(runs, path)
    if as_json:
        print_json({**values(found), "page": str(path)})
        return
    for columns, rows in tables(found).values():
        if rows:
            print_table(columns, rows)
            print_line()
    if found.caution:
        print_line(found.caution)
    for name, keys in found.only.items():
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        print_line(f"not in all runs, of {name}: {', '.join(keys[:4])}{more}")
    print_line(f"page: {path}")
