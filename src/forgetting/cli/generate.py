"""The command that writes a model's outputs for another program to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import MODEL, Json, app
from forgetting.cli.printing import print_json, print_line, speaking


@app.command()
def generate(
    model: Annotated[str, typer.Argument(help=MODEL)],
    prompts: Annotated[
        str | None, typer.Argument(help="A file with an 'instruction' in each row; default: AlpacaEval's 805 (hub).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The .json file; default: RUN/alpaca_eval/outputs.json, or outputs.json.")
    ] = None,
    generator: Annotated[str | None, typer.Option(help="The model's name in the file; default: its folder's.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of each output, at most.")] = 2048,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many prompts.")] = None,
    as_json: Json = False,
) -> None:
    """Write a model's greedy outputs in the form that `alpaca_eval --model_outputs` judges."""
    from forgetting.pipeline.one_model.alpaca_outputs import generate

    with speaking(quiet=as_json) as voice:
        found = generate(
            model,
            prompts=prompts,
            out=out,
            generator=generator,
            limit=limit,
            settings={"max_new_tokens": max_new_tokens},
            voice=voice,
        )
    if as_json:
        print_json({**vars(found), "file": str(found.file)})
        return
    empty = f", {found.empty:,} of them empty" if found.empty else ""
    print_line(f"{found.file}: {found.count:,} outputs of {found.generator} ({found.decoding}){empty}")
    print_line(f"judged by: alpaca_eval --model_outputs {found.file}")
