"""`forget judge` and `forget judge-popularity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgetting.cli.app import MODEL, Json, app
from forgetting.cli.printing import print_json, print_line, print_measures, speaking

if TYPE_CHECKING:
    from forgetting.core.progress import Voice
    from forgetting.evaluation.judging.judge import Judge

Url = Annotated[str | None, typer.Option(help="An OpenAI-compatible address up to /v1. What is judged is sent there.")]
Model = Annotated[str | None, typer.Option(help="The model that the address is asked for.")]
Local = Annotated[str | None, typer.Option(help=f"Judge with a model on this machine instead. {MODEL}")]
KeyVariable = Annotated[
    str, typer.Option(help="The environment variable that holds the key; without one, none is sent.")
]
AtOnce = Annotated[int, typer.Option(min=1, max=64, help="Requests at the same time.")]
Timeout = Annotated[
    float, typer.Option(min=0.1, max=86_400, help="Seconds without an answer after which a try has failed.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")]


@app.command()
def judge(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or of an evaluation.")],
    url: Url = None,
    model: Model = None,
    local: Local = None,
    split: Annotated[
        list[str] | None, typer.Option(help="A split; several: the option several times. Default: all with answers.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many examples of each split.")] = None,
    seed: Seed = 0,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    at_once: AtOnce = 4,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> None:
    """Have a model grade the answers of a run's models: are they right, are they fluent."""
    from forgetting.pipeline.finished_run.judge import judge_run
    from forgetting.report.run.page import build_report
    from forgetting.runs.paths import RunPaths

    with speaking(quiet=as_json) as voice:
        asked = _judge(url, model, local, key_variable, at_once, timeout, voice)
        found = judge_run(run, asked, splits=split or (), limit=limit, seed=seed, voice=voice)
    build_report([run], RunPaths(run).report_file)
    if as_json:
        from dataclasses import asdict

        print_json({"run": str(run), **asdict(found)})
        return
    print_line(f"judge: {found.judge}; told {found.instructions}, which are ours")
    for point, measures in found.points.items():
        print_line(point)
        print_measures(measures, as_json=False)
        print_line()
    print_line(f"report: {RunPaths(run).report_file}")


@app.command(name="judge-popularity")
def judge_popularity(
    facts: Annotated[str, typer.Argument(help="A file of questions and answers with a popularity.")],
    url: Url = None,
    model: Model = None,
    local: Local = None,
    pairs: Annotated[int, typer.Option(min=1, help="At most so many pairs, each fact in one.")] = 200,
    out: Annotated[
        Path | None, typer.Option(help="The folder in which replies are kept. Default: that of the file.")
    ] = None,
    seed: Seed = 0,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    at_once: AtOnce = 4,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> None:
    """Ask a model which of two facts is better known, in both orders, and compare that with their popularity."""
    from forgetting.pipeline.one_model.judge_popularity import judge_popularity

    with speaking(quiet=as_json) as voice:
        asked = _judge(url, model, local, key_variable, at_once, timeout, voice)
        found = judge_popularity(facts, asked, pairs=pairs, out=out, seed=seed, voice=voice)
    print_measures(found, as_json, facts=facts, judge=asked.identity)


def _judge(
    url: str | None,
    model: str | None,
    local: str | None,
    key_variable: str,
    at_once: int,
    timeout: float,
    voice: Voice,
) -> Judge:
    from forgetting.core.errors import RecipeError

    if local is not None and url is None and model is None:
        from forgetting.pipeline.one_model.local_judge import local_judge

        return local_judge(local, voice)
    if local is not None or url is None or model is None:
        raise RecipeError("name a judge: --url and --model of an endpoint, or --local with a model on this machine")
    from forgetting.evaluation.judging.endpoint import Endpoint

    return Endpoint(url=url, model=model, key_variable=key_variable, at_once=at_once, timeout=timeout)
