"""`forget import`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_measures, print_table


@app.command(name="import")
def import_(
    log: Annotated[
        Path, typer.Argument(help="TOFU's eval_log_aggregated.json, TOFU_EVAL.json, MUSE_EVAL.json, DUET_EVAL.json …")
    ],
    out: Annotated[Path, typer.Option(help="A new folder, like a run's; or a .jsonl file for the records alone.")],
    oracle: Annotated[Path | None, typer.Option(help="The log of a model that never saw the forget set.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="SPLIT=FILE: the questions that the log's rows are of, in its order; may be given often."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Import another program's evaluation log as records that can be compared and be an oracle."""
    from forgetting.imports.logs import import_log

    found = import_log(log, out, oracle=oracle, data=_by_split(data or []))
    if as_json:
        checks = [{**asdict(c), "equal": c.equal} for c in found.checks]
        measures = [asdict(m) for m in found.measures]
        print_json({"kind": found.kind, "out": str(out), "measures": measures, "checks": checks, "notes": found.notes})
        return
    print_measures(found.measures, False)
    other = [c for c in found.checks if not c.equal]
    print_line(f"{len(found.checks) - len(other)} of the log's {len(found.checks)} numbers come out the same")
    rows = [[c.name, _number(c.logged), _number(c.ours), c.note] for c in other]
    if rows:
        print_table(["of the log", "logged", "ours", "why"], rows)
    for note in found.notes:
        print_line(note)
    print_line(f"{'records' if out.suffix == '.jsonl' else 'folder'}: {out}")


def _by_split(given: list[str]) -> dict[str, list[str]]:
    from forgetting.core.errors import RecipeError

    found: dict[str, list[str]] = {}
    for text in given:
        split, equals, place = text.partition("=")
        if not (split and equals and place):
            raise RecipeError(f"--data {text}: write SPLIT=FILE, such as forget=rare.jsonl")
        found.setdefault(split, []).append(place)
    return found


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.6g}"
