"""The command that has a model write what a forget set lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, speaking


@app.command()
def derive(
    forget: Annotated[str, typer.Argument(help="The forget set: a folder of documents, a file, or hub:ORG/NAME.")],
    model: Annotated[str, typer.Option(help="Who writes: a model folder, a hub id, or a suite's model such as 'lab'.")],
    out: Annotated[Path, typer.Option(help="The folder to write: a .jsonl file of each kind.")],
    retain: Annotated[int, typer.Option(help="Rows of retain text.")] = 200,
    questions: Annotated[int, typer.Option(help="Questions on each document, or each piece of a long one.")] = 1,
    paraphrases: Annotated[int, typer.Option(help="Paraphrases of each document or question.")] = 1,
    alternates: Annotated[
        int, typer.Option(help="Other answers to each question of the forget set: data.alternate of altpo and dpo.")
    ] = 0,
    prompts: Annotated[
        str | None,
        typer.Option(help="Data that is not to be forgotten; retain text continues its first words."),
    ] = None,
    tokens: Annotated[int, typer.Option(help="The most tokens to write at once.")] = 96,
    temperature: Annotated[
        float, typer.Option(help="Of all but retain text; 0: the most likely token each time.")
    ] = 0.7,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, … Default: cpu.")] = None,
    as_json: Json = False,
) -> None:
    """Have a model write retain text, questions, paraphrases or alternates for a forget set; read them before use."""
    from forgetting.forget_sets.derive import Wanted, derive

    wanted = Wanted(
        retain=retain,
        questions=questions,
        paraphrases=paraphrases,
        alternates=alternates,
        prompts=prompts,
        tokens=tokens,
        temperature=temperature,
        seed=seed,
    )
    with speaking(quiet=as_json) as voice:
        found = derive(forget, model, out, wanted, device=device, voice=voice)
    if as_json:
        print_json(found)
        return
    for name, made in found["made"].items():
        dropped = ", ".join(f"{number:,} {why}" for why, number in made["dropped"].items())
        print_line(f"{name}: {made['kept']:,} kept" + (f"; left out: {dropped}" if dropped else ""))
    for file in (*found["files"], out / "provenance.json"):
        print_line(f"written: {file}")
    print_line(found["note"])
