"""The command that looks for what is to be forgotten in other data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_table, speaking


@app.command()
def find(
    forget: Annotated[str, typer.Argument(help="The forget set: a file, a folder, or hub:ORG/NAME.")],
    data: Annotated[list[str], typer.Argument(help="What to search: files, folders, hub:ORG/NAME; rows of any kind.")],
    out: Annotated[Path | None, typer.Option(help="Write every finding to this file, a line each (.jsonl).")] = None,
    as_json: Json = False,
) -> None:
    """Find copies, near duplicates, passages and mentions of a forget set in other data."""
    from forgetting.data.mentions import KINDS
    from forgetting.forget_sets.find import find

    with speaking(quiet=as_json) as voice:
        result = find(forget, data, out=out, voice=voice)
    found = result.to_json()
    if as_json:
        print_json(found | {"out": str(out) if out else None})
        return
    if found["first"]:
        rows = [[f["where"], f["kind"], f["forget_where"] or f["forget"], f["text"]] for f in found["first"]]
        print_table(["where", "kind", "of", "text"], rows)
    total = sum(result.hits.values())
    if total > len(found["first"]):
        print_line(
            f"… and {total - len(found['first']):,} more" + ("" if out else "; write them all with --out FILE.jsonl")
        )
    for one in found["sources"]:
        kinds = ", ".join(f"{one[kind]:,} {kind}" for kind in KINDS)
        print_line(f"{one['source']}: {one['rows_hit']:,} of {one['rows']:,} rows ({kinds})")
    print_line(f"{found['forget_found']:,} of {found['forget']:,} forget examples occur there")
    if result.without_mentions:
        print_line(f"{result.without_mentions:,} of them have no name or rare word to know a mention by")
    if out is not None:
        print_line(f"written: {out}")
