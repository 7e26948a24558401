"""The command that asks a model, or a run's models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import MODEL, Json, app
from forgetting.cli.printing import print_json, print_line, print_table, speaking

if TYPE_CHECKING:
    from forgetting.pipeline.one_model.ask import Answer


@app.command()
def ask(
    model: Annotated[str, typer.Argument(help=f"{MODEL} Of a run, every model of it is asked, before and after.")],
    questions: Annotated[list[str] | None, typer.Argument(help="One question or several.")] = None,
    file: Annotated[Path | None, typer.Option(help="A text file with one question per line.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer.")] = 48,
    tokens: Annotated[int, typer.Option(min=1, max=1000, help="First tokens of an answer that are shown with p.")] = 3,
    top: Annotated[int, typer.Option(min=1, help="The likeliest tokens that are shown at each.")] = 4,
    text: Annotated[
        bool, typer.Option("--text", help="Go on with the text as it is: no question, no template.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of a recipe, e.g. format.shots.source=shots.jsonl; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a model, or the models before and after a run side by side, with what else each might have said."""
    from forgetting.pipeline.finished_run.ask import Asked, ask, read_questions
    from forgetting.pipeline.one_model.ask import Asking, ask_model
    from forgetting.pipeline.run.source import is_run
    from forgetting.recipe.changes import parsed

    changes = parsed(settings or [])
    asked = [*(questions or []), *(read_questions(file) if file is not None else [])]
    how = Asking(max_new_tokens=max_new_tokens, tokens=tokens, top=top, text=text)
    with speaking(quiet=as_json) as voice:
        if is_run(model):
            found = ask(Path(model), asked, how, settings=changes, voice=voice)
        else:
            found = [Asked("model", tuple(ask_model(model, asked, how, settings=changes, voice=voice)))]
    if as_json:
        print_json({"run": model, "asked": [asdict(a) for a in found]})
        return
    for place, question in enumerate(asked):
        print_line(question)
        rows = [[a.point, a.answers[place].text or "(nothing)", *_first(a.answers[place], tokens)] for a in found]
        print_table(["", "answer", *(f"token {i + 1}: p" for i in range(tokens))], rows)
        print_line()


def _first(answer: Answer, tokens: int) -> list[str]:
    """Of each first token the likeliest choices, the one that was written first."""
    from forgetting.report import wording

    cells = []
    for written, likely in zip(answer.first, answer.alternatives, strict=True):
        others = [c for c in likely if c != written]
        cells.append("  ".join(f"{c.text!r} {wording.share(c.probability)}" for c in (written, *others)))
    return cells + [""] * (tokens - len(cells))
