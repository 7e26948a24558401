"""Commands that say what there is: methods, recipes, suites."""

from __future__ import annotations

import json

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_summaries, print_table


@app.command()
def methods(as_json: Json = False) -> None:
    """List the methods, their parameters and defaults."""
    from forgetting.objectives.methods import get_method, method_names

    found = [get_method(name) for name in method_names()]
    if as_json:
        parameters = {m.name: {k: p.default for k, p in m.parameters.items()} for m in found}
        print(
            json.dumps(
                [
                    {"name": m.name, "summary": m.summary, "parameters": parameters[m.name], "adapter": dict(m.adapter)}
                    for m in found
                ]
            )
        )
        return
    rows = [[m.name, m.summary, " ".join(f"{k}={p.default}" for k, p in m.parameters.items())] for m in found]
    print_table(["method", "what it does", "parameters"], rows)


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
