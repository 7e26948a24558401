"""Commands that say what there is: methods, transforms, recipes, suites, attacks, analyses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_summaries, print_table

if TYPE_CHECKING:
    from forgetting.core.registry import Registry


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
def transforms(as_json: Json = False) -> None:
    """List the transforms of a recipe's stages, their parameters and defaults."""
    from forgetting.models.transforms import TRANSFORMS

    _print_registry(TRANSFORMS, as_json)


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


@app.command()
def gradient_rules(as_json: Json = False) -> None:
    """List the gradient rules that a stage may name (`gradients: rectified`), their parameters and defaults."""
    from forgetting.objectives.gradient_rules import GRADIENT_RULES

    _print_registry(GRADIENT_RULES, as_json)


@app.command()
def attacks(as_json: Json = False) -> None:
    """List the attacks of `forget audit`, their parameters and defaults."""
    from forgetting.audits import ATTACKS

    _print_registry(ATTACKS, as_json)


@app.command()
def analyses(as_json: Json = False) -> None:
    """List the analyses of `forget analyse`, their parameters and defaults."""
    from forgetting.analysis import ANALYSES

    _print_registry(ANALYSES, as_json)


def _print_registry(registry: Registry, as_json: bool) -> None:
    found = registry.entries()
    for broken in registry.broken():
        typer.echo(f"warning: {broken}", err=True)
    parameters = {e.name: {k: p.default for k, p in e.parameters.items()} for e in found}
    if as_json:
        rows = [
            {"name": e.name, "summary": e.summary, "parameters": parameters[e.name], "source": e.source} for e in found
        ]
        print(json.dumps(rows, default=str))
        return
    words = {name: " ".join(f"{k}={v}" for k, v in keys.items()) for name, keys in parameters.items()}
    listed = [[e.name, e.summary, words[e.name], e.source] for e in found]
    print_table([registry.noun, "what it does", "parameters", "from"], listed)
