"""The command that attacks a run's models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_table, speaking, value_words

if TYPE_CHECKING:
    from forgetting.runs.audits import Audit


@app.command()
def audit(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Parameters of attacks: NAME.PARAMETER=VALUE, such as sample.n=64.")
    ] = None,
    attacks: Annotated[
        list[str] | None,
        typer.Option(help="fast, standard, all or an attack; several: the option several times. Default: standard."),
    ] = None,
    oracle: Annotated[
        str | None, typer.Option(help="A model that never saw the forget set. Default: the run's own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that attacks draw.")] = 0,
    facts: Annotated[int, typer.Option(min=1, help="At most so many forget examples.")] = 400,
    as_json: Json = False,
) -> None:
    """Attack the model before and after a run, and the oracle: what each still gives away."""
    from forgetting.pipeline.audit.audit import audit
    from forgetting.pipeline.finished_run.plugged import read_settings

    given = read_settings(settings or [])
    with speaking(quiet=as_json) as voice:
        found = audit(run, attacks=attacks or (), settings=given, oracle=oracle, seed=seed, facts=facts, voice=voice)
    if as_json:
        from dataclasses import asdict

        print_json({"run": str(run), "audits": [asdict(a) for a in found]})
        return
    points = list(dict.fromkeys(point for a in found for point in a.points))
    print_table(["attack", "split", "measure", *points, "n"], [row for a in found for row in _rows(a, points)])


def _rows(audit: Audit, points: list[str]) -> list[list[str]]:
    """A row for each measure: its value and 95% interval under every model."""
    by_key = {point: {m.key: m for m in found.measures} for point, found in audit.points.items()}
    keys = dict.fromkeys(key for measures in by_key.values() for key in measures)
    rows = []
    for key in keys:
        measures = [by_key.get(point, {}).get(key) for point in points]
        first = next(m for m in measures if m is not None)
        cells = ["" if m is None else value_words(m) for m in measures]
        rows.append([audit.attack, first.split, first.name, *cells, str(first.count)])
    return rows
