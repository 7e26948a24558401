"""`forget eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetting.cli.app import MODEL, Json, app
from forgetting.cli.printing import print_measures, speaking
from forgetting.core.launch import launched_first


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL)],
    suite: Annotated[str | None, typer.Option(help="A suite (see `forget suites`).")] = None,
    forget: Annotated[str | None, typer.Option(help="A file of forget examples, instead of a suite.")] = None,
    retain: Annotated[str | None, typer.Option(help="A file of retain examples, instead of a suite.")] = None,
    oracle: Annotated[str | None, typer.Option(help="A model that never saw the forget set, or its records.")] = None,
    records: Annotated[Path | None, typer.Option(help="Write the records to this .jsonl file.")] = None,
    dtype: Annotated[
        str, typer.Option(help="Precision of the weights: auto, float32, bfloat16, float16; of a run, its own.")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Measure a model on a suite or on your own files."""
    from forgetting.pipeline.one_model.evaluate import evaluate

    data = {role: path for role, path in (("forget", forget), ("retain", retain)) if path is not None}
    with speaking(quiet=as_json, together=True) as voice:
        found = evaluate(
            model, suite=suite, data=data, oracle=oracle, settings={"dtype": dtype}, records=records, voice=voice
        )
    if launched_first():
        print_measures(found.measures, as_json, model=model, suite=found.suite, dtype=found.precision.dtype)
