"""Commands that list what there is by name: each kind of registered function, and recipes."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from importlib import import_module

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_summaries, print_table


@dataclass(frozen=True)
class Kind:
    """A kind of registered functions: where its registry is, and the command's help."""

    registry: str
    help: str


KINDS = {
    "methods": Kind("forgetting.objectives.methods:METHODS", "List the methods that a stage may train with."),
    "metrics": Kind("forgetting.metrics.registry:METRICS", "List the metrics that a recipe may ask for."),
    "suites": Kind("forgetting.benchmarks.registry:SUITES", "List the suites that models can be measured on."),
    "initialisations": Kind(
        "forgetting.training.initialisations:INITIALISATIONS", "List the ways a LoRA adapter may start."
    ),
}
"""By the command's name. A new kind is one line here."""


def list_kind(kind: Kind, as_json: bool) -> None:
    """Prints every function of a kind: what it does, its parameters and defaults, and the package it comes from."""
    module, _, name = kind.registry.partition(":")
    registry = getattr(import_module(module), name)
    entries = registry.entries()
    for broken in registry.broken():
        typer.echo(f"warning: {broken}", err=True)
    parameters = {e.name: {k: p.default for k, p in e.parameters.items()} for e in entries}
    if as_json:
        rows = [
            {"name": e.name, "summary": e.summary, "parameters": _plain(parameters[e.name]), **e.settings}
            | {"source": e.source}
            for e in entries
        ]
        print(json.dumps(rows, default=str))
        return
    said = {name: " ".join(f"{k}={v}" for k, v in _plain(own).items()) for name, own in parameters.items()}
    listed = [[e.name, e.summary, said[e.name], e.source] for e in entries]
    print_table([registry.noun, "what it does", "parameters", "from"], listed)


def _plain(parameters: dict[str, object]) -> dict[str, object]:
    """A parameter without a default must be given."""
    return {k: "(required)" if v is inspect.Parameter.empty else v for k, v in parameters.items()}


def _add(name: str, kind: Kind) -> None:
    def command(as_json: Json = False) -> None:
        list_kind(kind, as_json)

    app.command(name, help=f"{kind.help[:-1]}: what each does, its parameters and defaults, and where it comes from.")(
        command
    )


for _name, _kind in KINDS.items():
    _add(_name, _kind)


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the built-in recipes."""
    from forgetting.recipe import recipe_names, recipe_summary

    print_summaries("recipe", {name: recipe_summary(name) for name in recipe_names()}, as_json)
