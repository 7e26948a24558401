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
    name: Annotated[
        list[str] | None, typer.Option(help="A name, address or number to look for besides; repeat it for several.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write every finding to this file, a line each (.jsonl).")] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Print and write places alone: no texts, no ids. Names of files stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find copies, near duplicates, passages, mentions and names of a forget set in other data."""
    from forgetting.data.mentions import KINDS
    from forgetting.forget_sets.find import find

    with speaking(quiet=as_json) as voice:
        result = find(forget, data, names=name or (), out=out, redact=redact, voice=voice)
    found = result.to_json()
    if as_json:
        print_json(found | {"out": str(out) if out else None})
        return
    if found["first"]:
        rows = [[f["where"], f["kind"], _of(f), f.get("text", "")] for f in found["first"]]
        print_table(["where", "kind", "of", "text"], rows)
    total = sum(source[kind] for source in found["sources"] for kind in KINDS)
    if total > len(found["first"]):
        print_line(
            f"… and {total - len(found['first']):,} more" + ("" if out else "; write them all with --out FILE.jsonl")
        )
    for one in found["sources"]:
        kinds = ", ".join(f"{one[kind]:,} {kind}" for kind in KINDS)
        print_line(f"{one['source']}: {one['rows_hit']:,} of {one['rows']:,} rows ({kinds})")
    for sentence in found["said"]:
        print_line(sentence)
    if out is not None:
        print_line(f"written: {out}")


def _of(line: dict[str, object]) -> str:
    """How a finding's example is named: by its place, its id, or its number."""
    return str(line.get("forget_where") or line["forget"] or "a given name")
