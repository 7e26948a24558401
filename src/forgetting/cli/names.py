"""Commands that list what there is by name: each kind of registered function, and recipes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, print_summaries, print_table

if TYPE_CHECKING:
    from forgetting.core.registry import Entry


@dataclass(frozen=True)
class Kind:
    """A kind of registered functions: where its registry is, and the command's help."""

    registry: str
    help: str
    parameters: bool = True
    """Whether a recipe sets the functions' parameters."""
    needs: str = ""
    """The function that says what an entry needs, by its name; empty: they need nothing."""
    note: str = ""
    """The function that gives the learning rate of all; empty: they have none."""


KINDS = {
    "methods": Kind(
        "objectives.methods:METHODS",
        "List the methods that a stage may train with, and in brackets where `forget tune` seeks.",
        needs="objectives.methods.described:needs",
        note="recipe.described:default_rate",
    ),
    "metrics": Kind("metrics.registry:METRICS", "List the metrics that a recipe may ask for."),
    "suites": Kind("benchmarks.registry:SUITES", "List the suites that models can be measured on.", parameters=False),
    "initialisations": Kind("training.initialisations:INITIALISATIONS", "List the ways a LoRA adapter may start."),
    "gradient-rules": Kind(
        "objectives.gradient_rules:GRADIENT_RULES",
        "List how the gradients of several roles become one.",
        needs="recipe.described:needs_of_rule",
    ),
    "transforms": Kind(
        "models.transforms:TRANSFORMS",
        "List the changes of weights that need no training.",
        needs="recipe.described:needs_of_transform",
    ),
    "attacks": Kind("audits:ATTACKS", "List the attacks of `forget audit`."),
    "analyses": Kind("analysis:ANALYSES", "List the analyses of `forget analyse`."),
}
"""By the command's name. A new kind is one line here."""


def list_kind(kind: Kind, as_json: bool) -> None:
    """Prints every function of a kind: what it does, its parameters and defaults, and the package it comes from."""
    registry = _found(kind.registry)
    entries = registry.entries()
    needs = {e.name: _found(kind.needs)(e.name) for e in entries} if kind.needs else {}
    for broken in registry.broken():
        print_line(f"warning: {broken}", to_error=True)
    parameters = {e.name: _plain(e) if kind.parameters else {} for e in entries}
    if as_json:
        rows = [
            {"name": e.name, "summary": e.summary, "parameters": parameters[e.name], **e.settings}
            | ({"space": {key: str(where) for key, where in e.sought.items()}} if e.sought else {})
            | ({"needs": needs[e.name]} if kind.needs else {})
            | {"source": e.source}
            for e in entries
        ]
        print_json(rows)
        return
    said = {e.name: " ".join(_said(e, key, value) for key, value in parameters[e.name].items()) for e in entries}
    needed = {name: [", ".join(what)] for name, what in needs.items()}
    listed = [[e.name, _about(e), *needed.get(e.name, []), said[e.name], e.source] for e in entries]
    print_table([registry.noun, "what it does", *["needs"] * bool(kind.needs), "parameters", "from"], listed)
    if kind.note:
        print_line(f"learning_rate is {_found(kind.note)()} for all unless given; forget tune seeks one")


def _found(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(f"forgetting.{module}"), name)


def _about(entry: Entry[Any]) -> str:
    """What it does, and when to use it and where it was published if it says so."""
    when, paper = entry.settings.get("when", ""), entry.settings.get("paper", "")
    return " ".join(filter(None, (entry.summary, when, paper if paper not in entry.summary else "")))


def _said(entry: Entry[Any], key: str, value: Any) -> str:
    """A parameter with its default, and where `forget tune` seeks it: `beta=0.1 [0.03 to 3 (log)]`."""
    return f"{key}={value}" + (f" [{entry.sought[key]}]" if key in entry.sought else "")


def _plain(entry: Entry[Any]) -> dict[str, Any]:
    """Its parameters with their defaults; one without must be given."""
    return {name: entry.defaults.get(name, "(required)") for name in entry.parameters}


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
