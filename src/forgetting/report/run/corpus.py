"""What a run's corpus was drawn from, in the form of table 1 of the Forgetting paper."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetting.report import wording
from forgetting.runs.results import Results, labels


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One source: samples and share of both parts, and what they were drawn from."""

    source: str
    train: str
    train_share: str
    reference: str
    reference_share: str
    drawn: str
    available: str
    exact: str
    near: str


@dataclass(frozen=True, slots=True)
class CorpusTable:
    """The corpus of the named runs; of several sources the last row is the sum. `kept`: duplicates stayed in."""

    runs: str
    rows: tuple[CorpusRow, ...]
    kept: bool


def corpora(runs: Sequence[Results]) -> list[CorpusTable]:
    """One table per distinct corpus; runs without one have none."""
    found: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for run, label in zip(runs, labels(runs), strict=True):
        if run.corpus:
            key = json.dumps(run.corpus, sort_keys=True, default=str)
            found.setdefault(key, ([], run.corpus))[0].append(label)
    return [_table("" if len(names) == len(runs) else wording.join(names), corpus) for names, corpus in found.values()]


def _table(runs: str, corpus: Mapping[str, Any]) -> CorpusTable:
    given = corpus.get("sources")
    sources = [one for one in given if isinstance(one, Mapping)] if isinstance(given, Sequence) else []
    rows = [_row(one) for one in sources]
    if len(rows) > 1:
        rows.append(_row({"source": "all", **_total(corpus, sources)}))
    return CorpusTable(runs, tuple(rows), _part(corpus, "duplicates").get("policy") == "keep")


def _total(corpus: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sizes, duplicates = _part(corpus, "samples"), _part(corpus, "duplicates")
    parts = {name: {"samples": n, "percent": 100.0} for name, n in sizes.items() if n}
    read = [_number(one, "rows") for one in sources]
    known = [n for n in read if n is not None]
    # The sum of some is not the whole.
    whole = sum(known) if len(known) == len(read) else None
    return {**parts, "rows": whole, "exact": duplicates.get("exact"), "near": duplicates.get("near")}


def _row(source: Mapping[str, Any]) -> CorpusRow:
    train, reference = _part(source, "train"), _part(source, "reference")
    return CorpusRow(
        source=wording.one_line(source.get("source")),
        train=wording.count(_number(train, "samples")),
        train_share=_percent(train),
        reference=wording.count(_number(reference, "samples")),
        reference_share=_percent(reference),
        drawn=wording.count(_number(_part(source, "all"), "samples")),
        available=wording.count(_number(source, "rows")),
        exact=wording.count(_number(source, "exact")),
        near=wording.count(_number(source, "near")),
    )


def _part(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A mapping within another; empty where there is none."""
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return value if isinstance(value, int | float) else None


def _percent(part: Mapping[str, Any]) -> str:
    """Two decimals, as the paper prints them."""
    value = _number(part, "percent")
    return wording.ABSENT if value is None else f"{value:.2f}\N{NO-BREAK SPACE}%"
