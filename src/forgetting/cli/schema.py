"""The command that prints JSON Schemas for editors."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forgetting.cli.app import app
from forgetting.cli.printing import print_json

_KINDS = ("recipe", "sweep")


@app.command()
def schema(what: Annotated[str, typer.Argument(help="recipe or sweep.")] = "recipe") -> None:
    """Print the JSON Schema of a recipe or a sweep, for editors that check YAML while it is written."""
    print_json(_schema(what), indent=2)


def _schema(what: str) -> dict[str, Any]:
    from forgetting.core.errors import RecipeError, nearest
    from forgetting.recipe.schema import recipe_schema, sweep_schema

    if what == "recipe":
        return recipe_schema()
    if what == "sweep":
        from forgetting.recipe.sweep_file import SweepFile

        return sweep_schema(SweepFile)
    raise RecipeError(f"there is no schema of '{what}'; {nearest(what, _KINDS)}")
