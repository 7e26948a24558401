"""A published table beside what the same recipes give here: `forget reproduce`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from forgetting.benchmarks.published import Compared, Ended, Row, Table, absent, compared, published_table
from forgetting.core.errors import ForgettingError, RecipeError, nearest
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.reproduce.rehearsal import Rehearsal, localised
from forgetting.pipeline.run.records import cached
from forgetting.pipeline.run.run import loaded_for, of_oracle, run
from forgetting.pipeline.run.suites import suite_of
from forgetting.recipe import Recipe, load_recipe
from forgetting.recipe.changes import combined, parsed

Status = Literal["not run", "ran", "ran (rehearsal)", "failed"]
UNSCORED = "no tokens were scored"
MEASURED = "measured.json"
"""What was measured of a model that is not trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """One row of the table, and what became of it here."""

    row: Row
    status: Status
    message: str = ""
    """Why it was not run or failed, or what is to be known of its runs."""
    compared: Mapping[str, Compared]
    """By column."""
    runs: tuple[str, ...] = ()
    """The folders of its runs."""
    reached: tuple[int, int] | None = None
    """How many of its runs reached the goal of their stop rule, of how many; None: there is no such rule."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A table and its rows, as many as were asked for."""

    table: Table
    rows: tuple[Reproduced, ...]
    rehearsed: bool = False
    """Whether this was a rehearsal: then there is no number of ours."""


def reproduce(
    name: str,
    *,
    model: Mapping[str, str] | str | None = None,
    rows: Sequence[str] = (),
    output: str = "runs",
    data: str | None = None,
    rehearse: bool = False,
    voice: Voice = SILENT,
) -> Reproduction:
    """The published table, with what its rows' recipes measured here beside what is printed.

    A row whose model is not given is only looked for under `output`; where no finished run of it is there, it stays
    `not run`, without a number. Runs are `output/NAME/ROW`; finished ones are found again.

    Args:
        name: of the table, see `table_names`.
        model: a folder or hub id for each of the table's models, or one for the only model that the rows train.
        rows: rows whose id or labels hold one of these texts; none: all.
        output: the folder of the runs.
        data: a folder in place of `data/`, of the hub's TOFU, and of hub datasets that it has as `hub/ORG/NAME.jsonl`.
        rehearse: run every row on a tiny random model of its architecture and a few invented examples instead, to see
            that it runs. It gives no numbers.

    Raises:
        RecipeError: no such table, model or row.
    """
    table = published_table(name)
    chosen = _chosen(table, rows)
    if rehearse:
        with Rehearsal() as rehearsal:
            found = tuple(_rehearsed(table, row, rehearsal, voice) for row in chosen)
    else:
        models = _models(table, chosen, model)
        found = tuple(_carried_out(table, row, models, output, data, voice) for row in chosen)
    return Reproduction(table, found, rehearse)


def _chosen(table: Table, rows: Sequence[str]) -> list[Row]:
    def said(row: Row) -> str:
        return " ".join((row.id, *row.labels.values())).casefold()

    for text in rows:
        if not any(text.casefold() in said(row) for row in table.rows):
            raise RecipeError(f"{table.name} has no row with '{text}'; {nearest(text, [r.id for r in table.rows])}")
    return [row for row in table.rows if not rows or any(text.casefold() in said(row) for text in rows)]


def _models(table: Table, rows: Sequence[Row], given: Mapping[str, str] | str | None) -> Mapping[str, str]:
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


def row_recipe(row: Row, planned: tuple[str, tuple[str, ...]], *, model: str, oracle: str | None) -> Recipe:
    """The recipe of one run of a row.

    Raises:
        RecipeError: the table's overrides do not fit the recipe.
    """
    name, overrides = planned
    return load_recipe(row.recipe, combined(parsed(overrides), {"name": name, "model": model, "oracle": oracle}))


def _carried_out(
    table: Table, row: Row, models: Mapping[str, str], output: str, data: str | None, voice: Voice
) -> Reproduced:
    """Runs the row, or finds its finished runs; one that fails is reported and the others continue."""
    folder = Path(output) / table.name
    oracle = models.get(table.oracle) if table.oracle else None
    ended: list[Ended] = []
    try:
        for planned in table.runs(row):
            recipe = row_recipe(row, planned, model=models.get(row.model, ""), oracle=oracle)
            recipe = recipe.with_values({"output": str(folder)})
            recipe = localised(recipe, Path(data)) if data is not None else recipe
            found = _carry_out(recipe, row, voice) if row.model in models else _found(recipe, row)
            ended += [found] if found is not None else []
    except ForgettingError as error:
        return Reproduced(row=row, status="failed", message=str(error), compared=compared(table, row, ()))
    return _reproduced(table, row, ended)


def _reproduced(table: Table, row: Row, ended: Sequence[Ended]) -> Reproduced:
    if not ended:
        why = f"give --model {row.model}=PATH"
        return Reproduced(row=row, status="not run", message=why, compared=compared(table, row, ()))
    ruled = [e.success for e in ended if e.success is not None]
    asked = sum(1 for _ in table.runs(row))
    said = [f"{len(ended)} of {asked} runs"] if len(ended) < asked else []
    said += [f"{Path(e.folder).name} collapsed" for e in ended if e.collapsed]
    return Reproduced(
        row=row,
        status="ran",
        message="; ".join(said),
        compared=compared(table, row, ended),
        runs=tuple(e.folder for e in ended),
        reached=(sum(ruled), len(ruled)) if ruled else None,
    )


def _carry_out(recipe: Recipe, row: Row, voice: Voice, *, report: bool = True) -> Ended:
    if row.trained:
        return _ended(run(recipe, voice=voice, report=report))
    return _measured(recipe, voice)


def _ended(folder: Path) -> Ended:
    """What a finished run says of itself after its last stage."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    after = [e for e in results["evaluations"] if e["point"] == "after"][-1]
    measures = {m.key: m for m in (*own_measures(results), *(Measure(**m) for m in after["measures"]))}
    return Ended(str(folder), measures, results["stages"][-1].get("success"), results["status"] == "collapsed")


def own_measures(results: Mapping[str, Any]) -> list[Measure]:
    """What a run says of itself: of its last stage as `stage/…`, of earlier ones by their names, of all as `run/…`.

    `scoring/minutes` is what the scores took by which the last stage selects its tokens.
    """
    *earlier, last = results["stages"]
    cost = results["cost"]
    own = {
        "stage/epochs": last["epochs"],
        "stage/trainable_share": last["trainable"] / last["of"],
        "stage/minutes": last["train_seconds"] / 60,
        "scoring/minutes": _minutes(last.get("scoring_seconds")),
        **{f"{stage['name']}/minutes": stage["train_seconds"] / 60 for stage in earlier},
        "run/minutes": (cost["prepare_seconds"] + cost["train_seconds"]) / 60,
    }
    named = [(*key.split("/"), value) for key, value in own.items()]
    return [Measure(name=n, split=s, value=v, count=1, reason=UNSCORED if v is None else "") for s, n, v in named]


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _measured(recipe: Recipe, voice: Voice) -> Ended:
    """What the recipe measures, of the model as it is; written down, and found again."""
    found = _measured_before(recipe)
    if found is not None:
        return found
    voice.say(f"measuring {recipe.model} as it is: {recipe.name}")
    asked = recipe
    loaded, recipe = loaded_for(recipe)
    suite = suite_of(recipe, {})
    taken = cached(loaded.model, loaded.tokenizer, suite, recipe, voice)
    measures = taken.measures(suite, of_oracle(recipe, suite, voice))
    write_text(recipe.folder / "recipe.yaml", asked.to_yaml())
    write_text(recipe.folder / MEASURED, json.dumps([asdict(m) for m in measures], indent=1))
    return Ended(str(recipe.folder), {m.key: m for m in measures})


def _measured_before(recipe: Recipe) -> Ended | None:
    file = recipe.folder / MEASURED
    if not file.is_file() or (recipe.folder / "recipe.yaml").read_text(encoding="utf-8") != recipe.to_yaml():
        return None
    measures = [Measure(**values) for values in json.loads(file.read_text())]
    return Ended(str(recipe.folder), {m.key: m for m in measures})


def _found(recipe: Recipe, row: Row) -> Ended | None:
    """A finished run of this recipe with whatever model; None if there is none.

    Raises:
        RecipeError: the folder holds a finished run of another recipe.
    """
    folder = recipe.folder
    if not (folder / ("results.json" if row.trained else MEASURED)).is_file():
        return None
    stored = load_recipe(str(folder / "recipe.yaml"))
    same = recipe.with_values({key: getattr(stored, key) for key in ("model", "oracle", "output")})
    if same != stored:
        raise RecipeError(f"{folder}: holds a run of another recipe; remove it, or choose another output")
    return _ended(folder) if row.trained else _measured_before(stored)


def _rehearsed(table: Table, row: Row, rehearsal: Rehearsal, voice: Voice) -> Reproduced:
    """The row on a tiny model and invented data: whether it runs and gives what its columns ask for, never a number."""
    nothing = compared(table, row, ())
    began = time.perf_counter()
    try:
        planned = next(table.runs(row))
        architecture = table.models[row.model].architecture
        oracle = str(rehearsal.model(table.models[table.oracle].architecture, seed=1)) if table.oracle else None
        recipe = row_recipe(row, planned, model=str(rehearsal.model(architecture)), oracle=oracle)
        recipe = rehearsal.shrunk(recipe.with_values({"output": str(rehearsal.folder / table.name)}))
        ended = _carry_out(recipe, row, voice, report=False)
    except Exception as error:  # a rehearsal is there to tell of whatever goes wrong
        line = str(error) if isinstance(error, ForgettingError) else f"{type(error).__name__}: {error}"
        return Reproduced(row=row, status="failed", message=" ".join(line.split()), compared=nothing)
    asked = [c for c in table.columns if row.values[c.key].value is not None or not row.printed]
    lacking = [missing for c in asked if (missing := absent(c, ended))]
    took = time.perf_counter() - began
    if lacking:
        why = f"its recipe gives no {', '.join(lacking)}"
        return Reproduced(row=row, status="failed", message=why, compared=nothing, seconds=took)
    return Reproduced(row=row, status="ran (rehearsal)", compared=nothing, seconds=took)
