"""The command that carries out a grid of runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_table, speaking


@app.command()
def sweep(
    file: Annotated[
        str | None, typer.Argument(help="The path of a .yaml file, or a built-in sweep; none: list those.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value …, for all runs")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Runs at once on this machine.")] = 1,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed runs again.")] = False,
    output: Annotated[str | None, typer.Option(help="Where the sweep's folder goes; default: the recipe's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the runs and how far they are, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run a recipe over a grid of settings and seeds; run again, it goes on where it was."""
    from forgetting.pipeline.sweep_file import load_sweep, sweep_names, sweep_summary

    if file is None:
        found = {name: sweep_summary(name) for name in sweep_names()}
        print(json.dumps(found)) if as_json else print_table(
            ["sweep", "what it does"], [[k, v] for k, v in found.items()]
        )
        return
    planned = load_sweep(file, overrides or [], output=output)
    from forgetting.pipeline.sweep import failures_of, run_sweep, status_of

    if dry_run:
        failures = failures_of(planned)
        runs = [
            {"name": r.name, "status": status_of(r, failures), "point": dict(r.point), "overrides": list(r.overrides)}
            for r in planned.runs
        ]
        if as_json:
            print(json.dumps({"folder": str(planned.folder), "runs": runs}))
        else:
            print_table(
                ["run", "status", "overrides"],
                [[r.name, status_of(r, failures), " ".join(r.overrides)] for r in planned.runs],
            )
        return
    with speaking(quiet=as_json) as voice:
        folder = run_sweep(planned, processes=processes, retry=retry, voice=voice)
    from forgetting.core.errors import RunError
    from forgetting.report.sweep import sweep_table
    from forgetting.report.sweep_results import SweepResults, cautions

    results = SweepResults.load(folder)
    table, notes = sweep_table(results), cautions(results)
    if as_json:
        print(json.dumps({"folder": str(folder), **table.as_json(), "cautions": notes}))
    else:
        print_table(*table.plain())
        for note in notes:
            print(note)
        print(f"table: {folder / 'sweep.csv'}")
        print(f"report: {folder / 'report.html'}")
    failed = [run.name for run in results.runs if run.status == "failed"]
    if failed:
        raise RunError(
            f"{len(failed)} of {len(results.runs)} runs failed ({', '.join(failed)}); see {folder / 'failures.json'} "
            f"and {folder / 'logs'}, and try them again with --retry"
        )
