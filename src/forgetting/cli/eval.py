"""`forget eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import MODEL, Json, app
from forgetting.cli.printing import print_line, print_measures, speaking
from forgetting.core.launch import launched_first
from forgetting.runs.paths import RunPaths


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="key=value of a recipe …, e.g. format.shots.source=shots.jsonl max_new_tokens=32"),
    ] = None,
    suite: Annotated[str | None, typer.Option(help="A suite (see `forget suites`).")] = None,
    forget: Annotated[str | None, typer.Option(help="A file of forget examples, instead of a suite.")] = None,
    retain: Annotated[str | None, typer.Option(help="A file of retain examples, instead of a suite.")] = None,
    oracle: Annotated[str | None, typer.Option(help="A model that never saw the forget set, or its records.")] = None,
    records: Annotated[Path | None, typer.Option(help="Write the records to this .jsonl file.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write results, records and report into this folder, as a run does.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Precision of the weights: auto, float32, bfloat16, float16; of a run, its own.")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Measure a model on a suite or on your own files."""
    from forgetting.core.errors import RecipeError
    from forgetting.pipeline.one_model.evaluate import evaluate, measuring
    from forgetting.pipeline.one_model.evaluate_into import evaluate_into
    from forgetting.recipe.changes import parsed

    if out is not None and records is not None:
        raise RecipeError("give --records or --out, which holds the records too")
    data = {role: path for role, path in (("forget", forget), ("retain", retain)) if path is not None}
    settings = {"dtype": dtype, **parsed(overrides or [])}
    with speaking(quiet=as_json, together=True) as voice:
        if out is None:
            found = evaluate(
                model, suite=suite, data=data, oracle=oracle, settings=settings, records=records, voice=voice
            )
            measures, name, precision = found.measures, found.suite, found.precision.dtype
        else:
            recipe = measuring(model, suite=suite, data=data, oracle=oracle, settings=settings)
            results = evaluate_into(out, recipe, voice=voice)
            assert results.after is not None, "it was measured"
            measures, name = list(results.after.measures), results.suite
            precision = str(results.environment.get("dtype"))
    if launched_first():
        print_measures(measures, as_json, model=model, suite=name, dtype=precision)
        if out is not None and not as_json:
            print_line(f"report: {RunPaths(out).report_file}")
