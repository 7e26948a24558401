"""The command that scores tokens."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.printing import print_json, print_line, speaking
from forgetting.runs.paths import StagePaths

_NOISE = {
    "quality": "AUC of −Q for the tokens known to be noise",
    "loss": "AUC of the base's plain loss for them",
    "difference": "difference",
    "precision": "share of the forgotten tokens that are noise",
    "recall": "share of the noise that is forgotten",
}
"""Where the data say which characters are wrong: what is printed of it."""


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="The base: a model folder, a hub id, or a suite's model such as 'lab'.")],
    data: Annotated[list[str], typer.Argument(help="Data files, or hub:ORG/NAME.")],
    reference: Annotated[str, typer.Option(help="An adapter of the base, or a model, trained on reference data.")],
    scores: Annotated[Path, typer.Option(help="The folder for the scores; scores found there are used again.")],
    positives: Annotated[str, typer.Option(help="The share of tokens to learn, or auto, or zero.")] = "0.7",
    level: Annotated[str, typer.Option(help="token or sequence.")] = "token",
    forget_rate: Annotated[float | None, typer.Option(help="Share of all tokens to forget; default: the rest.")] = None,
    forget_by: Annotated[str, typer.Option(help="Which of the rest: lowest or random.")] = "lowest",
    learn_ends: Annotated[bool, typer.Option(help="Learn the last token of every answer in any case.")] = False,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens per row.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Of what is shown, and of forget-by random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the data with signed token weights (.parquet).")] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page with the tokens coloured by quality (.html).")] = None,
    as_json: Json = False,
) -> None:
    """Score every answer token by a model and a reference, and tell what to learn from what to forget."""
    from forgetting.data.formatting import Formatting
    from forgetting.pipeline.one_model.score_tokens import ScoreOptions, score
    from forgetting.recipe import selection_from

    asked = selection_from(
        reference=reference,
        positives=_number(positives),
        level=level,
        forget_rate=forget_rate,
        forget_by=forget_by,
        learn_ends=learn_ends,
    )
    with speaking(quiet=as_json) as voice:
        shown = score(
            model,
            data,
            reference=reference,
            folder=scores,
            options=ScoreOptions(
                selection=asked, formatting=Formatting(max_length=max_length), seed=seed, out=out, page=page
            ),
            voice=voice,
        )
    if as_json:
        print_json(asdict(shown))
        return
    for key in ("tokens", "positive", "negative", "ignored"):
        print_line(f"{key}: {getattr(shown, key):,}")
    noise = shown.noise or {}
    for name, what in _NOISE.items() if noise else ():
        found = noise[name]
        if found["value"] is None:
            print_line(f"{what}: none ({found['reason']})")
            continue
        interval = "" if found["low"] is None else f" ({found['low']:.3f} to {found['high']:.3f})"
        print_line(f"{what}: {found['value']:.3f}{interval}")
    for file in (StagePaths(scores).selection_file, out, page):
        if file is not None:
            print_line(f"written: {file}")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
