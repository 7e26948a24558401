"""Compares a published table with the results of the same recipes (`forget reproduce`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgetting.benchmarks.published import Compared, Ended, Row, Table, compared, published_table
from forgetting.core.errors import ForgettingError, RecipeError, RunError, nearest
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.reproduce.local_data import localised
from forgetting.pipeline.reproduce.row import found_row, row_recipe, run_row
from forgetting.pipeline.reproduce.rows_on_engine import PlannedRow, run_rows
from forgetting.pipeline.sweep.engines.engine import Engine
from forgetting.recipe import Recipe

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
    engine: Engine | None = None,
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
        engine: executes the runs, with a log of each in `output/NAME/logs`; None: one after another, in this process.
        voice: log lines and progress.

    Raises:
        RecipeError: no such table, model or row; or a model for a table whose rows are no runs.
        RunError: the engine cannot run them.
    """
    table = published_table(name)
    chosen = _chosen(table, rows)
    models = _models(table, chosen, model)
    asked = Asked(table, models, Path(output) / table.name, None if data is None else Path(data))
    failures = {} if engine is None else run_rows(asked.folder, _to_run(asked, chosen), engine, voice)
    return Reproduction(table, tuple(_reproduced(asked, row, failures, voice) for row in chosen))


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


@dataclass(frozen=True, slots=True)
class Asked:
    """What the rows of a table are run with."""

    table: Table
    models: Mapping[str, str]
    folder: Path
    data: Path | None

    def recipes(self, row: Row) -> list[Recipe]:
        """The recipe of every run of a row.

        Raises:
            ForgettingError: the table's overrides or the data do not fit a recipe.
        """
        oracle = self.models.get(self.table.oracle) if self.table.oracle else None
        model = self.models.get(row.model, row.model)
        found = [row_recipe(row, planned, model=model, oracle=oracle) for planned in self.table.runs(row)]
        found = [recipe.with_values({"output": str(self.folder)}) for recipe in found]
        return found if self.data is None else [localised(recipe, self.data) for recipe in found]


def _to_run(asked: Asked, rows: Sequence[Row]) -> list[PlannedRow]:
    """The runs of rows whose model is given; what is wrong with a row is said where it is reproduced."""
    planned: list[PlannedRow] = []
    for row in rows:
        if row.model in asked.models:
            with suppress(ForgettingError):
                planned += [PlannedRow(row, recipe) for recipe in asked.recipes(row)]
    return planned


def _reproduced(asked: Asked, row: Row, failures: Mapping[str, str], voice: Voice) -> Reproduced:
    """The row with its runs, run or found; a failure is reported and the other rows continue.

    Args:
        asked: with what it is run.
        row: of the table.
        failures: errors of runs that an engine has tried, by name.
        voice: log lines and progress.
    """
    if not row.recipe:
        return Reproduced(row=row, status="printed", compared=compared(asked.table, row, ()))
    ended: list[Ended] = []
    try:
        for recipe in asked.recipes(row):
            if recipe.name in failures:
                raise RunError(failures[recipe.name])
            found = run_row(recipe, row, voice=voice) if row.model in asked.models else found_row(recipe, row)
            ended += [found] if found is not None else []
    except ForgettingError as error:
        return Reproduced(row=row, status="failed", message=str(error), compared=compared(asked.table, row, ()))
    return _of_runs(asked.table, row, ended)


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
