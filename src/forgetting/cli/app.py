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

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
