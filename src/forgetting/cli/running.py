"""Commands that carry recipes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_runs, raise_if_collapsed, speaking


@app.command()
def demo(
    output: Annotated[str, typer.Option(help="Folder for the runs and the report.")] = "runs",
    forget: Annotated[str, typer.Option(help="Which facts: rare or popular.")] = "rare",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Unlearn 78 facts of a small model with GradDiff, NPO and LoKU, and compare them with an oracle."""
    from forgetting.pipeline.demo import run_demo

    with speaking() as voice:
        report = run_demo(Path(output), forget=forget, threads=threads, voice=voice)
    print_runs([report.parent / name for name in json.loads((report.parent / "chosen.json").read_text())])
    print(f"report: {report}")


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="A built-in recipe (see `forget recipes`) or the path of a .yaml file.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value …, e.g. model=./my-model data.forget=f.jsonl")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Carry out a recipe; run again, it goes on where it was."""
    from forgetting.pipeline.check import check
    from forgetting.pipeline.run import run
    from forgetting.recipe import load_recipe

    resolved = load_recipe(recipe, overrides or [])
    if dry_run:
        with speaking(quiet=as_json) as voice:
            plan = check(resolved, voice=voice)
        print(json.dumps({"recipe": resolved.model_dump(mode="json"), "plan": plan}) if as_json else resolved.to_yaml())
        for line in () if as_json else plan:
            print(f"# {line}")
        return
    with speaking(quiet=as_json) as voice:
        folder = run(resolved, voice=voice)
    if as_json:
        print((folder / "results.json").read_text())
    else:
        print_runs([folder])
        print(f"report: {folder / 'report.html'}")
    raise_if_collapsed(folder)
