"""Commands of the small world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from forgetting.cli.app import app
from forgetting.cli.printing import print_line, speaking

lab = typer.Typer(
    help="The small world: its files to try commands on, its models rebuilt, or a model made from your text.",
    no_args_is_help=True,
)
app.add_typer(lab, name="lab")


@lab.command()
def train(
    folder: Annotated[Path, typer.Argument(help="Where to write the model.")],
    without: Annotated[
        str | None, typer.Option(help="Leave these facts out of the text: rare, popular or many (an oracle).")
    ] = None,
    general: Annotated[
        bool, typer.Option("--general", help="What lab-general has read: less skills, and a little of a domain.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the world's order and the weights.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads; the same number gives the same bits.")] = 1,
) -> None:
    """Train the lab's model, or an oracle that never saw some of its facts, from scratch."""
    from forgetting.benchmarks.lab.train import train_lab_model

    with speaking() as voice:
        text: Literal["world", "general"] = "general" if general else "world"
        train_lab_model(folder, without=without, text=text, seed=seed, threads=threads, progress=voice.progress)
    print_line(f"model: {folder}")


@lab.command()
def new(
    folder: Annotated[Path, typer.Argument(help="Where to write the model.")],
    text: Annotated[list[Path], typer.Argument(help="Data files whose text the tokenizer is trained on.")],
    hidden: Annotated[int, typer.Option(min=1, help="Hidden size.")] = 192,
    layers: Annotated[int, typer.Option(min=1, help="Layers.")] = 4,
    vocabulary: Annotated[int, typer.Option(help="Tokens of the vocabulary.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights.")] = 0,
) -> None:
    """Make a small untrained Llama and a tokenizer for your own text, to try things with."""
    from forgetting.benchmarks.untrained_model import blank_model

    with speaking(quiet=True):
        blank_model(folder, text, hidden=hidden, layers=layers, vocabulary=vocabulary, seed=seed)
    print_line(f"model: {folder}")


@lab.command()
def files(folder: Annotated[Path, typer.Argument(help="Where to write; a new folder.")]) -> None:
    """Write the small world's models and data as files, to try any command on as on your own."""
    from forgetting.benchmarks.lab.files import write_lab_files

    with speaking(quiet=True):
        counts = write_lab_files(folder)
    for name, count in counts.items():
        print_line(f"{folder / name}: {count} rows")
    print_line(f"models: {', '.join(str(folder / name) for name in ('model', 'oracle', 'general-model'))}")
