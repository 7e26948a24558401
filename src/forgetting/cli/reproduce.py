"""`forget reproduce`: published tables beside runs of your own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetting.cli.app import Json, app
from forgetting.cli.engine_options import Address, EngineName, GpusPerRun, RunsAtOnce
from forgetting.cli.printing import print_json, print_line, print_table, speaking

if TYPE_CHECKING:
    from forgetting.benchmarks.published import Average, Column, Compared
    from forgetting.pipeline.reproduce.table import Reproduced, Reproduction

NOTHING = "—"


@app.command()
def reproduce(
    table: Annotated[str | None, typer.Argument(help="A published table; without one: all of them, listed.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH for a model of the table, or one PATH for the only model that the rows train."),
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="Only rows whose id or labels hold this text; may be given several times.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A folder in place of data/; its tofu/, duet/, hub/ORG/NAME.jsonl for the hub's."),
    ] = None,
    output: Annotated[str, typer.Option(help="Folder for the runs.")] = "runs",
    processes: RunsAtOnce = None,
    engine: EngineName = "local",
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    as_json: Json = False,
) -> None:
    """Run the rows of a published table and print what was measured beside what is printed there."""
    if table is None:
        _list(as_json)
        return
    from forgetting.pipeline.reproduce.table import reproduce
    from forgetting.pipeline.sweep.engines.named import named_engine

    runs_on = named_engine(
        engine, folder=Path(output) / table, processes=processes, address=address, gpus_per_run=gpus_per_run
    )
    here = engine == "local" and processes is None
    with speaking(quiet=as_json) as voice:
        found = reproduce(
            table,
            model=_models(model or []),
            rows=row or [],
            output=output,
            data=data,
            engine=None if here else runs_on,
            voice=voice,
        )
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    _raise_if_failed(found)


def _list(as_json: bool) -> None:
    from forgetting.benchmarks.published import published_table, table_names

    tables = [published_table(name) for name in table_names()]
    if as_json:
        print_json([{"table": t.name, "place": t.place, "caption": t.caption, "rows": len(t.rows)} for t in tables])
    else:
        print_table(["table", "rows", "what it shows"], [[t.name, str(len(t.rows)), t.caption] for t in tables])


def _document(found: Reproduction) -> dict[str, Any]:
    """The same as the printed table, with every number in full."""
    table = found.table
    return {
        **{key: getattr(table, key) for key in ("name", "title", "arxiv", "place", "caption", "averages", "reading")},
        "columns": [asdict(column) for column in table.columns],
        "rows": [_row_document(row) for row in found.rows],
        "notes": list(table.notes),
    }


def _row_document(found: Reproduced) -> dict[str, Any]:
    said = {key: getattr(found, key) for key in ("status", "message", "runs", "reached")}
    cells = {key: asdict(cell) for key, cell in found.compared.items()}
    return {"id": found.row.id, "labels": dict(found.row.labels), **said, "cells": cells}


def _print(found: Reproduction) -> None:
    """The table, then what is to be known of single numbers, of the table, and of what was not run."""
    table, marks = found.table, Footnotes()
    print_line(f"{table.title} ({table.source}), {table.place}. {table.caption}")
    labels = _telling(found)
    rows = [
        [
            *(row.row.labels[label] for label in labels),
            _status(row),
            *(_cell(c, row.compared[c.key], marks) for c in table.columns),
        ]
        for row in found.rows
    ]
    names = [f"{c.name} ({c.unit})" if c.unit not in ("", c.name) else c.name for c in table.columns]
    print_line(
        "A cell: published | measured here (interval) | difference. Where there is one number, it is the published."
    )
    print_table([*labels, "here", *names], rows)
    for line in (*marks.lines(), table.averages, *filter(None, [table.reading]), *table.notes, *_needed(found)):
        print_line(line)


def _telling(found: Reproduction) -> list[str]:
    """The labels by which these rows differ; all of them for one row."""
    labels = list(found.rows[0].row.labels)
    return [n for n in labels if len({row.row.labels[n] for row in found.rows}) > 1] or labels


def _needed(found: Reproduction) -> list[str]:
    """What the rows that were not run still need."""
    waiting = {row.row.model for row in found.rows if row.status == "not run"}
    models = [f"--model {name}=PATH: {found.table.models[name].what}" for name in sorted(waiting)]
    return models + ([f"{file}: {what}" for file, what in found.table.data.items()] if waiting else [])


def _cell(column: Column, cell: Compared, marks: Footnotes) -> str:
    printed = NOTHING if cell.published is None else column.text(cell.published)
    printed += "" if cell.published_std is None else f" ± {column.std_text(cell.published_std)}"
    printed += marks.mark(cell.erratum)
    over_all = "" if cell.over_all is None else f"; all {cell.over_all.runs}: {_average(column, cell.over_all)}"
    if cell.measured is None:
        return f"{printed} | {NOTHING}{marks.mark(cell.reason)}{over_all}" if cell.reason else printed
    difference = NOTHING if cell.difference is None else column.text(cell.difference, sign=True)
    return f"{printed} | {column.text(cell.measured)}{_interval(column, cell)} | {difference}{over_all}"


def _interval(column: Column, cell: Compared) -> str:
    if cell.deviation is not None:
        return f" ± {column.text(cell.deviation)}"
    if cell.low is None or cell.high is None:
        return ""
    return f" ({column.text(cell.low)} … {column.text(cell.high)})"


def _average(column: Column, average: Average) -> str:
    spread = "" if average.deviation is None else f" ± {column.text(average.deviation)}"
    return column.text(average.mean) + spread


def _status(found: Reproduced) -> str:
    reached = "" if found.reached is None else f", goal reached in {found.reached[0]} of {found.reached[1]}"
    said = f": {found.message}" if found.message and found.status != "not run" else ""
    return f"{found.status}{reached}{said}"


class Footnotes:
    """Texts with a number each, in the order in which they are first needed."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, text: str) -> str:
        """What is put beside a number: ` [1]`, or nothing where there is no text."""
        if not text:
            return ""
        if text not in self._texts:
            self._texts.append(text)
        return f" [{self._texts.index(text) + 1}]"

    def lines(self) -> list[str]:
        """The texts with their numbers."""
        return [f"[{number}] {text}" for number, text in enumerate(self._texts, 1)]


def _models(given: list[str]) -> dict[str, str] | str | None:
    """`NAME=PATH` …, or a single PATH; a path may hold `=`, but then needs its name before it."""
    from forgetting.core.errors import RecipeError

    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    named = [text.partition("=") for text in given]
    bare = next((name for name, equals, _ in named if not equals), None)
    if bare is not None:
        raise RecipeError(f"--model {bare}: write NAME=PATH where there are several models")
    return {name: path for name, _, path in named}


def _raise_if_failed(found: Reproduction) -> None:
    from forgetting.core.errors import RunError

    failed = [r for r in found.rows if r.status == "failed"]
    if failed:
        raise RunError(
            f"{found.table.name}: {len(failed)} of {len(found.rows)} rows failed; the column 'here' says why"
        )
