"""`forget run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.completion import recipe_names
from forgetting.cli.printing import print_goals, print_json, print_line, print_runs, raise_if_collapsed, speaking
from forgetting.core.launch import launched_first
from forgetting.runs.paths import RunPaths

if TYPE_CHECKING:
    from forgetting.recipe import Recipe


@app.command()
def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A built-in recipe (see `forget recipes`) or the path of a .yaml file.", autocompletion=recipe_names
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value …, e.g. model=./my-model data.forget=f.jsonl")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Write keyed hashes instead of texts (the recipe's redact=true).")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved recipe and what it will take, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a recipe; an existing run is resumed. Several processes: torchrun … -m forgetting run …"""
    from forgetting.pipeline.audit.whole import run
    from forgetting.recipe import load_recipe
    from forgetting.recipe.changes import parsed_of_one

    changes = {**parsed_of_one(overrides or []), **({"redact": True} if redact else {})}
    if dry_run:
        _print_plan(load_recipe(recipe, changes), as_json)
        return
    with speaking(quiet=as_json, together=True) as voice:
        folder = run(load_recipe(recipe, changes), voice=voice)
    if not launched_first():
        return
    paths = RunPaths(folder)
    if as_json:
        print_line(paths.results_file.read_text(encoding="utf-8"))
    else:
        print_runs([folder])
        print_goals(folder)
        print_line(f"report: {paths.report_file}")
    raise_if_collapsed(folder)


def _print_plan(recipe: Recipe, as_json: bool) -> None:
    """The resolved recipe, what a run of it would do, and about what it would take; nothing is written."""
    from forgetting.pipeline.estimate.estimate import estimate
    from forgetting.pipeline.run.plan import planned

    with speaking(quiet=as_json) as voice:
        plan = planned(recipe, voice=voice)
        voice.say("timing a step and a few answers")
        expected = estimate(plan.prepared)
    if as_json:
        values = {"recipe": recipe.model_dump(mode="json"), "plan": plan.lines, "estimate": expected.to_json()}
        print_json(values)
        return
    print_line(recipe.to_yaml())
    for line in (*plan.lines, *expected.lines()):
        print_line(f"# {line}")
