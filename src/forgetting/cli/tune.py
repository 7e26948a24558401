"""`forget tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.completion import recipe_names
from forgetting.cli.engine_options import Address, EngineName, GpusPerRun, RunsAtOnce
from forgetting.cli.printing import print_json, print_line, print_table, speaking
from forgetting.cli.sweep import raise_if_failed
from forgetting.runs.paths import SweepPaths

if TYPE_CHECKING:
    from forgetting.pipeline.sweep.tune_plan import TunePlan
    from forgetting.runs.sweep import SweepResults


@app.command()
def tune(
    recipe: Annotated[
        str, typer.Argument(help="The path of a .yaml file, or a built-in recipe.", autocompletion=recipe_names)
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value …; space.KEY=… says where a key is sought.")
    ] = None,
    budget: Annotated[int, typer.Option(min=1, max=100_000, help="Trials of each method.")] = 20,
    methods: Annotated[str, typer.Option(help="Methods to compare: npo,graddiff; default: the recipe's.")] = "",
    stage: Annotated[str | None, typer.Option(help="The stage to tune, if several train.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=10_000, help="Runs of each method's best settings, with fresh seeds.")
    ] = 3,
    processes: RunsAtOnce = None,
    engine: EngineName = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed runs of the best settings again.")] = False,
    name: Annotated[str | None, typer.Option(help="The folder's name; default: the recipe's and -tune.")] = None,
    output: Annotated[str | None, typer.Option(help="Where the folder goes; default: the recipe's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what is sought where, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Seek each method's settings with one budget, and report the best on facts of their own; run again to resume."""
    from forgetting.pipeline.sweep.tune_plan import plan_tuning

    named = [] if name is None else [f"name={name}"]
    asked = [method.strip() for method in methods.split(",") if method.strip()]
    plan = plan_tuning(
        recipe, [*(overrides or []), *named], methods=asked, stage=stage, budget=budget, seeds=seeds, output=output
    )
    from forgetting.pipeline.sweep.engines.named import named_engine

    runs_on = named_engine(engine, folder=plan.folder, processes=processes, address=address, gpus_per_run=gpus_per_run)
    if dry_run:
        _print_plan(plan, as_json)
        return
    from forgetting.pipeline.sweep.tune import run_tuning
    from forgetting.runs.sweep import SweepResults

    with speaking(quiet=as_json) as voice:
        results = SweepResults.load(run_tuning(plan, engine=runs_on, retry=retry, voice=voice))
    _print_results(results, as_json)
    raise_if_failed(results)


def _print_plan(plan: TunePlan, as_json: bool) -> None:
    if as_json:
        space = {method: {key: str(where) for key, where in own.items()} for method, own in plan.spaces.items()}
        print_json({"folder": str(plan.folder), "budget": plan.budget, "seeds": plan.seeds, "space": space})
        return
    rows = [[method, key, str(where)] for method, space in plan.spaces.items() for key, where in space.items()]
    print_table(["method", "key", "sought in"], rows)
    print_line(f"{plan.budget} trials of each method, then {plan.seeds} runs of its best: {plan.folder}")


def _print_results(results: SweepResults, as_json: bool) -> None:
    from forgetting.report.sweep.results import cautions
    from forgetting.report.sweep.table import sweep_table
    from forgetting.report.sweep.trials import trials_table

    assert results.tuning is not None
    notes, paths, trials = cautions(results), SweepPaths(results.folder), trials_table(results.tuning)
    if as_json:
        found = sweep_table(results, whole=True).as_json()
        print_json({"folder": str(results.folder), **found, "trials": trials.as_json(), "cautions": notes})
        return
    for line in notes:
        print_line(line)
    print_table(*trials.plain())
    print_table(*sweep_table(results).plain())
    for what, file in (("trials", paths.trials_file), ("table", paths.table_file), ("report", paths.report_file)):
        print_line(f"{what}: {file}")
