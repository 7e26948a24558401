"""The command that puts a run's model on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import app
from forgetting.cli.printing import print_line, speaking


@app.command()
def push(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    name: Annotated[str, typer.Argument(help="USER/NAME on the hub.")],
    base: Annotated[
        str | None, typer.Option(help="The base model's name on the hub, where the run began with a local one.")
    ] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="For the card, as the hub names it.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False,
    despite_failure: Annotated[
        bool, typer.Option("--despite-failure", help="Push a run that failed, too; its card says so first.")
    ] = False,
    prepare_only: Annotated[
        Path | None, typer.Option(help="Write what would be uploaded into this new folder, and upload nothing.")
    ] = None,
) -> None:
    """Put a run's model or adapter on the Hugging Face hub, with a card of what was measured."""
    from forgetting.pipeline.finished_run.hub import Publication, prepare, push

    how = Publication(base=base, license_name=license_name, despite_failure=despite_failure)
    with speaking() as voice:
        if prepare_only is not None:
            print_line(f"folder: {prepare(run, name, prepare_only, how)}")
        else:
            print_line(push(run, name, how, private=private, voice=voice))
