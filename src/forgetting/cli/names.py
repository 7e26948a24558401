"""Commands that say what there is: methods, recipes, suites."""

from __future__ import annotations

import json

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_summaries, print_table


@app.command()
def methods(as_json: Json = False) -> None:
    """List the methods, their parameters and defaults, and the package that each comes from."""
    from forgetting.objectives.methods import METHODS

    found = METHODS.entries()
    parameters = {m.name: {k: p.default for k, p in m.parameters.items()} for m in found}
    for broken in METHODS.broken():
        typer.echo(f"warning: {broken}", err=True)
    if as_json:
        rows = [
            {
                "name": m.name,
                "summary": m.summary,
                "parameters": parameters[m.name],
                "adapter": m.settings.get("adapter", {}),
                "source": m.source,
            }
            for m in found
        ]
        print(json.dumps(rows, default=str))
        return
    settings = {name: " ".join(f"{k}={v}" for k, v in keys.items()) for name, keys in parameters.items()}
    listed = [[m.name, m.summary, settings[m.name], m.source] for m in found]
    print_table(["method", "what it does", "parameters", "from"], listed)


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the built-in recipes."""
    from forgetting.recipe import recipe_names, recipe_summary

    print_summaries("recipe", {name: recipe_summary(name) for name in recipe_names()}, as_json)


@app.command()
def suites(as_json: Json = False) -> None:
    """List the suites that models can be measured on."""
    from forgetting.benchmarks.registry import suites

    print_summaries("suite", suites(), as_json)
