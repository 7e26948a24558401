"""`forget sweep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.completion import sweep_names as built_in_sweeps
from forgetting.cli.engine_options import Address, EngineName, GpusPerRun, RunsAtOnce
from forgetting.cli.printing import print_json, print_line, print_summaries, print_table, speaking
from forgetting.runs.paths import SweepPaths

if TYPE_CHECKING:
    from forgetting.recipe.sweep import Sweep
    from forgetting.runs.sweep import SweepResults


@app.command()
def sweep(
    file: Annotated[
        str | None,
        typer.Argument(
            help="The path of a .yaml file, or a built-in sweep; none: list those.", autocompletion=built_in_sweeps
        ),
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value …, for all runs")] = None,
    processes: RunsAtOnce = None,
    engine: EngineName = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed runs again.")] = False,
    output: Annotated[str | None, typer.Option(help="Where the sweep's folder goes; default: the recipe's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the runs and how far they are, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run a recipe over a grid of settings and seeds; run again to resume."""
    from forgetting.recipe.sweep import load_sweep, sweep_names, sweep_summary

    if file is None:
        print_summaries("sweep", {name: sweep_summary(name) for name in sweep_names()}, as_json)
        return
    planned = load_sweep(file, overrides or [], output=output)
    from forgetting.pipeline.sweep.engines.named import named_engine

    runs_on = named_engine(
        engine, folder=planned.folder, processes=processes, address=address, gpus_per_run=gpus_per_run
    )
    if dry_run:
        _print_plan(planned, as_json)
        return
    from forgetting.pipeline.sweep.run import run_sweep
    from forgetting.runs.sweep import SweepResults

    with speaking(quiet=as_json) as voice:
        results = SweepResults.load(run_sweep(planned, engine=runs_on, retry=retry, voice=voice))
    _print_results(results, as_json)
    raise_if_failed(results)


def _print_plan(planned: Sweep, as_json: bool) -> None:
    from forgetting.pipeline.sweep.run import OTHER, failures_of, status_of

    failures = failures_of(planned)
    found = [(run, status_of(run, failures)) for run in planned.runs]
    if as_json:
        runs = [
            {"name": run.name, "status": status, "point": dict(run.point), "overrides": list(run.overrides)}
            for run, status in found
        ]
        print_json({"folder": str(planned.folder), "runs": runs})
        return
    print_table(["run", "status", "overrides"], [[run.name, status, " ".join(run.overrides)] for run, status in found])
    others = [run.name for run, status in found if status == OTHER]
    if others:
        print_line(
            f"{planned.folder}: {len(others)} of these folders hold a run of another recipe ({', '.join(others)}); "
            "write another name=… or output=…, or remove them"
        )


def _print_results(results: SweepResults, as_json: bool) -> None:
    from forgetting.report.sweep.results import cautions
    from forgetting.report.sweep.table import sweep_table

    notes, folder = cautions(results), results.folder
    if as_json:
        print_json({"folder": str(folder), **sweep_table(results, whole=True).as_json(), "cautions": notes})
        return
    for line in notes:
        print_line(line)
    print_table(*sweep_table(results).plain())
    for line in (f"table: {SweepPaths(folder).table_file}", f"report: {SweepPaths(folder).report_file}"):
        print_line(line)


def raise_if_failed(results: SweepResults) -> None:
    """Raises RunError if a run of a sweep failed; it names them and where to look."""
    from forgetting.core.errors import RunError

    failed = [run.name for run in results.runs if run.status == "failed"]
    if failed:
        paths = SweepPaths(results.folder)
        raise RunError(
            f"{len(failed)} of {len(results.runs)} runs failed ({', '.join(failed)}); see "
            f"{paths.failures_file} and {paths.logs}, and try them again with --retry"
        )
