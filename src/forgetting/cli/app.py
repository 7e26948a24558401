"""The command's root, to which every other file of this folder adds its own."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="forget",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        from forgetting.cli.printing import print_line

        print_line(f"forgetting {version('forgetting')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Make a language model forget, and measure honestly what it forgot and what it kept."""


MODEL = (
    "A model folder, a hub id, a suite's model such as 'lab', or a run's folder; or a combination of such, whose "
    "logits are added up: 'lab + 0.5*runs/gd - 0.5*lab'."
)
"""Help for the argument that names a model."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
