"""A published table: what a paper prints, which of our measures correspond, and the recipe of each row.

One YAML file per table. `like:` names another table that supplies the keys a file lacks. A row's recipe is a built-in
one with overrides, `key=value` as on the command line: those of the table, then those that `settings` gives for each of
the row's labels. In an override, `$set` is replaced by a replicate's value and any other `$label` by the row's.
The recipe's name may contain `$label` too; a table without a recipe holds numbers that no run gives. A row without
`values` is not in the paper; `std` holds the number printed after ±. Values are given in the order of the columns, or
by their keys; `missing` says why a column has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from string import Template
from typing import Any

import yaml

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.measure import Direction

FOLDER = Path(__file__).parent
# libyaml, if available, is ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NO_VALUE = "the paper prints none"
OURS = "a row of ours, not in the paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One printed column, and our measure that corresponds to it."""

    key: str
    name: str
    unit: str = ""
    direction: Direction = "none"
    measures: tuple[str, ...] = ()
    """`split/name` of a measure after the last stage, or a figure of the run itself: `stage/epochs`,
    `stage/trainable_share`, `stage/minutes` of that stage, `scoring/minutes` of the tokens that it selects,
    `NAME/minutes` of an earlier stage, `run/minutes` of the whole run. Several give their plain mean."""
    unmeasured: str = ""
    """Why no run here gives it; then there are no measures."""
    scale: float = 1.0
    """Factor from our numbers to the published ones: 100 if the paper prints percent."""
    format: str = ".2f"
    """How the paper prints it."""
    std_format: str = ""
    """How it prints deviations, if differently."""

    def text(self, value: float, *, sign: bool = False) -> str:
        """A number as the paper would print it."""
        return f"{value:{'+' if sign else ''}{self.format}}"

    def std_text(self, deviation: float) -> str:
        """A deviation as the paper would print it."""
        return f"{deviation:{self.std_format or self.format}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One printed number."""

    value: float | None
    reason: str = ""
    """Why it has no value."""
    std: float | None = None
    """The printed standard deviation over runs."""
    change: float | None = None
    """The printed change from the model before, or from the baseline that the notes name."""
    erratum: str = ""
    """What is wrong with it, or what to know before comparing with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """A model that a table's rows start from."""

    architecture: str
    """The family's name in transformers: gpt_neo, phi, llama."""
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One printed row."""

    id: str
    """Unique in its table, and valid as a folder name."""
    labels: Mapping[str, str]
    values: Mapping[str, Published]
    """By column."""
    model: str
    """Which of the table's models it starts from; empty if it is no run."""
    recipe: str
    """A built-in recipe; empty if it is no run: sizes of data sets, or what only an analysis gives."""
    overrides: tuple[str, ...]
    trained: bool = True
    """False: the row is the model as given; the recipe only evaluates it."""
    printed: bool = True
    """False: our own row for comparison, not in the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A published table."""

    name: str
    title: str
    """The paper's."""
    arxiv: str | None
    """Its number there; None: an anonymous submission."""
    number: int
    place: str
    """Where it is in the paper."""
    caption: str
    averages: str
    """What the paper averages over, and therefore our measured values too."""
    reading: str
    """What was unclear in the print, and how it was read."""
    models: Mapping[str, PublishedModel]
    oracle: str | None
    """Which of the models never saw the forget set."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    replicates: tuple[Mapping[str, str], ...] = ()
    """The settings over which a row is averaged; empty: a row is one run."""
    data: Mapping[str, str] = field(default_factory=dict)
    """Files that the recipes read from the working folder, and their contents."""
    notes: tuple[str, ...] = ()

    @property
    def is_of_runs(self) -> bool:
        """Whether its rows are runs, which can be made again."""
        return any(row.recipe for row in self.rows)

    @property
    def source(self) -> str:
        """The paper's address."""
        return "anonymous submission" if self.arxiv is None else f"arXiv {self.arxiv}"

    def runs(self, row: Row) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The runs of a row: for each, a name unique in the table, and its overrides.

        A row that no replicate changes (a model that is not trained has no seed) is one run. One without a recipe has
        none.
        """
        if not row.recipe:
            return
        if not any(Template(o).safe_substitute(r) != o for o in row.overrides for r in self.replicates):
            yield row.id, row.overrides
            return
        for replicate in self.replicates:
            suffix = "".join(f"-{key}{value}" for key, value in replicate.items())
            yield row.id + suffix, tuple(Template(o).safe_substitute(replicate) for o in row.overrides)


def table_names() -> list[str]:
    """All published tables, each paper's in order."""
    return sorted((path.stem for path in FOLDER.glob("*.yaml")), key=lambda name: (len(name), name))


@cache
def published_table(name: str) -> Table:
    """The table of that name, such as `loku-table1`.

    Raises:
        RecipeError: there is none; the message gives the nearest name.
    """
    if name not in table_names():
        raise RecipeError(f"no published table '{name}'; {nearest(name, table_names())}")
    values = _values(name)
    columns = tuple(_column(**column) for column in values["columns"])
    return Table(
        name=name,
        title=values["paper"]["title"],
        arxiv=values["paper"]["arxiv"],
        columns=columns,
        rows=tuple(_row(row, values, columns) for row in values["rows"]),
        models={model: PublishedModel(**about) for model, about in values.get("models", {}).items()},
        replicates=_replicates(values.get("replicates", {})),
        data=values.get("data", {}),
        notes=tuple(values.get("notes", ())),
        reading=values.get("reading", ""),
        oracle=values.get("oracle"),
        **{key: values[key] for key in ("number", "place", "caption", "averages")},
    )


def _values(name: str) -> dict[str, Any]:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    own: dict[str, Any] = yaml.load(text, LOADER)
    return {**_values(own["like"]), "reading": "", **own} if "like" in own else own


def _column(measure: str | Sequence[str] = (), **values: Any) -> Column:
    return Column(measures=(measure,) if isinstance(measure, str) else tuple(measure), **values)


def _replicates(axes: Mapping[str, Sequence[object]]) -> tuple[Mapping[str, str], ...]:
    """Every combination of the axes' values."""
    if not axes:
        return ()
    return tuple(dict(zip(axes, map(str, chosen), strict=True)) for chosen in product(*axes.values()))


def _row(row: Mapping[str, Any], table: Mapping[str, Any], columns: Sequence[Column]) -> Row:
    same = table.get("same", {})
    labels = {label: str({**same, **row}[label]) for label in table["labels"]}
    is_run = "recipe" in table
    trained = bool(row.get("trained", True)) and is_run
    overrides = [*table["overrides"], *_settings(labels, table["settings"], trained)] if is_run else []
    return Row(
        id=_slug(labels[label] for label in table["labels"] if label not in same or label in row),
        labels=labels,
        values=_published(row, labels, table, columns),
        model=labels["model"] if is_run else "",
        recipe=Template(table.get("recipe", "")).safe_substitute(labels),
        overrides=tuple(Template(o).safe_substitute(labels) for o in overrides),
        trained=trained,
        printed="values" in row,
    )


def _settings(labels: Mapping[str, str], settings: Mapping[str, Any], trained: bool) -> Iterator[str]:
    """The overrides that the labels stand for; a row of the model as given needs no training settings."""
    for label, by_value in settings.items():
        if trained or labels[label] in by_value:
            yield from by_value[labels[label]]


def _published(
    row: Mapping[str, Any], labels: Mapping[str, str], table: Mapping[str, Any], columns: Sequence[Column]
) -> dict[str, Published]:
    if "values" not in row:
        return {column.key: Published(value=None, reason=OURS) for column in columns}
    keys = [column.key for column in columns]
    values, spreads = _by_column(row["values"], keys), _by_column(row.get("std", ()), keys)
    given = row.get("changes", ())
    changes = _by_column(given, keys if isinstance(given, Mapping) else keys[-len(given) :])
    reasons = {**table.get("missing", {}), **row.get("missing", {})}
    return {
        key: Published(
            value=None if values.get(key) is None else float(values[key]),
            reason=reasons.get(key, NO_VALUE) if values.get(key) is None else "",
            std=None if spreads.get(key) is None else float(spreads[key]),
            change=changes.get(key),
            erratum="" if values.get(key) is None else _erratum(key, labels, table),
        )
        for key in keys
    }


def _by_column(given: Mapping[str, Any] | Sequence[Any], keys: Sequence[str]) -> Mapping[str, Any]:
    """A row's entries for its columns, given by name or in order; there may be none."""
    if isinstance(given, Mapping):
        return {keys[keys.index(key)]: value for key, value in given.items()}
    return dict(zip(keys, given, strict=bool(given)))


def _erratum(column: str, labels: Mapping[str, str], table: Mapping[str, Any]) -> str:
    """All errata of a printed number."""
    return " ".join(
        said["text"]
        for said in table.get("errata", ())
        if column in ([said["column"]] if isinstance(said["column"], str) else said["column"])
        and all(labels[label] in values for label, values in said["where"].items())
    )


def _slug(words: Iterator[str]) -> str:
    """`gpt-neo-125m-loku-ihl-fila`: letters, digits, dots and dashes."""
    text = "-".join(word for word in words if word != "none").lower()
    return "-".join(part for part in "".join(c if c.isalnum() or c == "." else " " for c in text).split())
