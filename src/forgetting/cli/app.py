"""The command's root, to which every other file of this folder adds its own."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="forget",
    help="Make a language model forget, and measure honestly what it forgot and what it kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

MODEL = (
    "A model folder, a hub id, a suite's model such as 'lab', or a run's folder; or a combination of such, whose "
    "logits are added up: 'lab + 0.5*runs/gd - 0.5*lab'."
)
"""Help for the argument that names a model."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
