"""`forget board`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_table

if TYPE_CHECKING:
    from forgetting.report.board.board import Board


@app.command()
def board(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs, of sweeps, or that hold runs.")],
    out: Annotated[Path | None, typer.Option(help="The file to write; default: board.html, here.")] = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    form: Annotated[
        Literal["html", "latex", "md", "csv"],
        typer.Option(
            "--format", help="html: the page. latex, md: the tables. csv: every cell. Without --out they are printed."
        ),
    ] = "html",
    as_json: Json = False,
) -> None:
    """Set methods side by side from finished runs: measures and audits, in one table for all that compares."""
    from forgetting.report.board.board import board_of
    from forgetting.report.board.exported import as_json as values
    from forgetting.report.board.page import build_page

    if form != "html":
        _print_form(folders, form, out, as_json)
        return
    found = board_of(folders)
    page = build_page(found, out or Path("board.html"), title=title)
    if as_json:
        print_json({**values(found), "page": str(page)})
        return
    _print(found)
    print_line(f"page: {page}")


def _print_form(folders: list[Path], form: str, out: Path | None, as_json: bool) -> None:
    from forgetting.core.errors import RecipeError
    from forgetting.core.folder import check_suffix
    from forgetting.report.board.board import board_of
    from forgetting.report.board.exported import FORMATS
    from forgetting.report.template import write_out

    if as_json:
        raise RecipeError(f"--json and --format {form} are two forms of one table; choose one")
    suffix, table = FORMATS[form]
    if out is not None:
        check_suffix(out, suffix)
    text = table(board_of(folders))
    if out is None:
        print_line(text.removesuffix("\n"))
    else:
        write_out(out, text)
        print_line(f"{form}: {out}")


def _print(found: Board) -> None:
    from forgetting.report.board.board import heading_of

    for place, one in enumerate(found.tables, 1):
        print_line(heading_of(place, one))
        if one.apart:
            print_line(f"not comparable with table 1: {'; '.join(one.apart)}")
        print_table(*one.table.plain())
        for note in one.notes:
            print_line(note)
        print_line()
    for out in found.left_out:
        print_line(f"left out: {out.name} {out.reason}")
