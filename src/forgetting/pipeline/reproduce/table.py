"""Compares a published table with the results of the same recipes (`forget reproduce`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgetting.benchmarks.published import Compared, Ended, Row, Table, compared, published_table
from forgetting.core.errors import ForgettingError, RecipeError, nearest
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.reproduce.local_data import localised
from forgetting.pipeline.reproduce.row import found_row, row_recipe, run_row

Status = Literal["not run", "ran", "failed", "printed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """One row of the table, and its runs here."""

    row: Row
    status: Status
    message: str = ""
    """Why it was not run or failed, or a remark on its runs."""
    compared: Mapping[str, Compared]
    """By column."""
    runs: tuple[str, ...] = ()
    """The folders of its runs."""
    reached: tuple[int, int] | None = None
    """The number of its runs that reached the goal of their stop rule, and their total; None: there is no such rule."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A table and its requested rows."""

    table: Table
    rows: tuple[Reproduced, ...]


def reproduce(
    name: str,
    *,
    model: Mapping[str, str] | str | None = None,
    rows: Sequence[str] = (),
    output: str = "runs",
    data: str | None = None,
    voice: Voice = SILENT,
) -> Reproduction:
    """Runs the rows of a published table and compares what they measure with what is printed.

    A row whose model is not given is only looked for under `output`; if no finished run of it is found there, its
    status is `not run` and it has no number. Rows that are no runs are `printed` alone. Runs are `output/NAME/ROW`;
    finished ones are not run again.

    Args:
        name: of the table, see `table_names`.
        model: a folder or hub id for each of the table's models, or one for the only model that the rows train.
        rows: rows whose id or labels hold one of these texts; none: all.
        output: the folder of the runs.
        data: a folder in place of `data/`, of the hub's TOFU, and of hub datasets that it has as `hub/ORG/NAME.jsonl`.
        voice: log lines and progress.

    Raises:
        RecipeError: no such table, model or row; or a model for a table whose rows are no runs.
    """
    table = published_table(name)
    chosen = _chosen(table, rows)
    models = _models(table, chosen, model)
    return Reproduction(table, tuple(_reproduced(table, row, models, output, data, voice) for row in chosen))


def _chosen(table: Table, rows: Sequence[str]) -> list[Row]:
    def named(row: Row) -> str:
        return " ".join((row.id, *row.labels.values())).casefold()

    for text in rows:
        if not any(text.casefold() in named(row) for row in table.rows):
            raise RecipeError(f"{table.name} has no row with '{text}'; {nearest(text, [r.id for r in table.rows])}")
    return [row for row in table.rows if not rows or any(text.casefold() in named(row) for text in rows)]


def _models(table: Table, rows: Sequence[Row], given: Mapping[str, str] | str | None) -> Mapping[str, str]:
    if given and not table.is_of_runs:
        raise RecipeError(f"{table.name}: its rows are no runs, so there is nothing to run; leave --model out")
    if isinstance(given, str):
        trained = {row.model for row in rows if row.trained} or {row.model for row in rows}
        if len(trained) > 1:
            names = ", ".join(f"--model {name}=PATH" for name in sorted(trained))
            raise RecipeError(
                f"{table.name}: these rows start from {len(trained)} models; write {names}, or choose rows"
            )
        return {trained.pop(): given}
    for name in given or {}:
        if name not in table.models:
            raise RecipeError(f"{table.name} has no model '{name}'; {nearest(name, table.models)}")
    return given or {}


def _reproduced(
    table: Table, row: Row, models: Mapping[str, str], output: str, data: str | None, voice: Voice
) -> Reproduced:
    """The row with its runs, run or found; a failure is reported and the other rows continue."""
    if not row.recipe:
        return Reproduced(row=row, status="printed", compared=compared(table, row, ()))
    folder = Path(output) / table.name
    oracle = models.get(table.oracle) if table.oracle else None
    ended: list[Ended] = []
    try:
        for planned in table.runs(row):
            recipe = row_recipe(row, planned, model=models.get(row.model, row.model), oracle=oracle)
            recipe = recipe.with_values({"output": str(folder)})
            recipe = localised(recipe, Path(data)) if data is not None else recipe
            found = run_row(recipe, row, voice=voice) if row.model in models else found_row(recipe, row)
            ended += [found] if found is not None else []
    except ForgettingError as error:
        return Reproduced(row=row, status="failed", message=str(error), compared=compared(table, row, ()))
    return _of_runs(table, row, ended)


def _of_runs(table: Table, row: Row, ended: Sequence[Ended]) -> Reproduced:
    if not ended:
        why = f"give --model {row.model}=PATH"
        return Reproduced(row=row, status="not run", message=why, compared=compared(table, row, ()))
    ruled = [e.success for e in ended if e.success is not None]
    asked = sum(1 for _ in table.runs(row))
    remarks = [f"{len(ended)} of {asked} runs"] if len(ended) < asked else []
    remarks += [f"{Path(e.folder).name} collapsed" for e in ended if e.collapsed]
    return Reproduced(
        row=row,
        status="ran",
        message="; ".join(remarks),
        compared=compared(table, row, ended),
        runs=tuple(e.folder for e in ended),
        reached=(sum(ruled), len(ruled)) if ruled else None,
    )
