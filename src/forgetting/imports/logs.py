"""Evaluation logs of other programs as a run's records, so that they can be scored, compared and be an oracle here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from forgetting.benchmarks.duet.groups import groups_of
from forgetting.benchmarks.duet.suite import duet_metrics, group_metrics
from forgetting.benchmarks.tofu import tofu_metrics
from forgetting.core.errors import DataError
from forgetting.core.folder import written_whole
from forgetting.core.measure import Measure
from forgetting.core.record import Record, write_records
from forgetting.core.text import shown
from forgetting.data.cells import string
from forgetting.imports.answers import is_answers, read_answers, records_of, split_of
from forgetting.imports.asked import Given, Sets, read_asked, with_examples
from forgetting.imports.checks import Check, check_columns, check_open_unlearning, check_tofu
from forgetting.imports.open_unlearning import aggregates, by_index, is_evaluation, is_summary, read_records
from forgetting.imports.prompts import with_questions
from forgetting.metrics.metric import Metric
from forgetting.metrics.per_example import measure
from forgetting.metrics.score import score
from forgetting.metrics.statistics import estimate_mean
from forgetting.metrics.tofu_log import SPLITS as TOFU_LOGS
from forgetting.metrics.tofu_log import read_log, read_tofu_log
from forgetting.runs.evaluation import Evaluation, Point
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results

_AS_LOGGED = "As open-unlearning logged it; not computed anew."
_LEAST = (
    "As open-unlearning logged it: the last label is dropped unseen and the least value of an answer of n labels is "
    "1/n, not 0."
)


@dataclass(frozen=True)
class Imported:
    """A log as measures, and its own numbers beside them."""

    kind: str
    measures: list[Measure]
    checks: list[Check]
    records: list[Record]
    notes: list[str]
    """Lines on what of the prompts is no question, or could not be told from one."""


@dataclass(frozen=True)
class _Log:
    kind: Literal["TOFU", "open-unlearning", "open-unlearning summary", "answers"]
    records: list[Record]
    metrics: tuple[Metric, ...]
    content: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)


def import_log(log: Path, out: Path, *, oracle: Path | None = None, data: Given | None = None) -> Imported:
    """Reads a log and writes it as a run folder, or as records alone where `out` ends in .jsonl.

    What is read: `eval_log_aggregated.json` of locuslab/tofu; TOFU_EVAL.json, MUSE_EVAL.json and TOFU_SUMMARY.json of
    open-unlearning, and DUET_EVAL.json and the like of its forks; answers one a line (`imports.answers`); each plain or
    gzipped. A summary has no rows: it gives measures without counts and no records.

    Args:
        log: of the model.
        out: a new folder (results.json, records, import.json) or a .jsonl file.
        oracle: the log of a model that never saw the forget set, of the same kind.
        data: by split, the files that the log's questions come from, in its order. Records then have their questions,
            popularity and groups, and are compared by popularity, by file, and with and without known faults.

    Raises:
        DataError: a file is missing or no such log, or the oracle or the data are of other questions.
        RunError: `out` holds something else, or cannot be written.
    """
    asked = read_asked(data or {})
    ours, theirs = _read(log, asked), None if oracle is None else _read(oracle, asked)
    if theirs is not None and not theirs.records:
        raise DataError(f"{oracle}: has no rows, so it cannot be an oracle; give the log with value_by_index")
    answered = None if theirs is None else theirs.records
    measures = [*score(ours.metrics, ours.records, answered), *_kept(ours, log)]
    checks = _checks(ours, measures)
    found = Imported(ours.kind, measures, checks, ours.records, ours.notes)
    if out.suffix == ".jsonl":
        _write_records(out, ours, log)
        return found
    points: list[tuple[Point, list[Record], list[Measure]]] = [("after", ours.records, measures)]
    if theirs is not None and answered is not None:
        points.insert(0, ("oracle", answered, score(theirs.metrics, answered, answered)))
    with written_whole(out) as partial:
        folder = RunFolder(partial)
        evaluations = [_evaluation(folder, *point) for point in points]
        names = (log.name, None if oracle is None else oracle.name)
        folder.write_results(_results(out.resolve().name, found, evaluations, names))
        kept = {"log": log.name, "kind": ours.kind, "checks": [{**asdict(c), "equal": c.equal} for c in checks]}
        folder.import_file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return found


def _write_records(out: Path, log: _Log, path: Path) -> None:
    if not log.records:
        raise DataError(f"{path}: has no rows, so there are no records; give a folder as --out, or the log with rows")
    write_records(out, log.records)


def _read(path: Path, asked: Sets) -> _Log:
    if is_answers(path):
        answers = read_answers(path)
        return _asked(_Log("answers", records_of(answers), (), answers), asked, path)
    content = read_log(path)
    if isinstance(content, dict) and any(name in content for name in TOFU_LOGS):
        return _asked(_Log("TOFU", read_tofu_log(path), tofu_metrics(), content), asked, path)
    if is_evaluation(content):
        return _asked(_Log("open-unlearning", read_records(content, str(path)), (), content), asked, path)
    if is_summary(content):
        if asked:
            raise DataError(f"{path}: is a summary without questions; leave the data out, or give the log with rows")
        return _Log("open-unlearning summary", [], (), content)
    raise DataError(
        f"{path}: no log that is known; give eval_log_aggregated.json of TOFU; TOFU_EVAL.json, MUSE_EVAL.json, "
        "DUET_EVAL.json or TOFU_SUMMARY.json of open-unlearning and its forks; or answers one a line (.jsonl)"
    )


def _asked(log: _Log, asked: Sets, path: Path) -> _Log:
    """The log with the examples that its records are of, and its metrics."""
    for record in log.records:
        for what in ("id", "split", "prompt", "answer", "generation"):
            string(getattr(record, what) or "", what, f"{path}: {record.split} {record.id}")
    records, notes = with_examples(log.records, asked, str(path)), list[str]()
    if log.kind != "TOFU":
        records, notes = with_questions(records, asked)
    metrics = (*(log.metrics or _metrics(records)), *_of_examples(records, asked))
    return replace(log, records=records, metrics=metrics, notes=notes)


def _metrics(records: Sequence[Record]) -> tuple[Metric, ...]:
    """TOFU's where its splits are there with likelihoods; of answers alone, what DUET measures of them."""
    splits = list(dict.fromkeys(record.split for record in records))
    scored = {r.split for r in records if r.score is not None or r.paraphrase is not None or r.perturbed}
    tofu = {"forget", "retain", "real_authors", "world_facts"} if scored else set()
    others = [split for split in splits if split not in tofu]
    forget = [split for split in others if split.startswith("forget")]
    written = duet_metrics(forget, [split for split in others if split not in forget], likelihood=False)
    return (*(tofu_metrics() if tofu & {*splits} else ()), *(written if others else ()))


def _of_examples(records: Sequence[Record], asked: Sets) -> list[Metric]:
    """Of the examples that records are of: each file where there are several, and rows with and without faults."""
    forget = [split for split in asked if split.startswith("forget")]
    members = {split: [e for some in sources.values() for e in some] for split, sources in asked.items()}
    sets = {
        name: {e.cluster for e in some}
        for split in forget
        for name, some in asked[split].items()
        if len(asked[split]) > 1
    }
    kept = [split for split in asked if split not in forget]
    likelihood = any(record.score is not None for record in records)
    return group_metrics(groups_of(members, forget, sets), forget, kept, likelihood=likelihood)


def _checks(log: _Log, measures: Sequence[Measure]) -> list[Check]:
    if log.kind == "TOFU":
        return check_tofu(log.content, TOFU_LOGS, log.records)
    if log.kind == "answers":
        return [
            check
            for name, rows in log.content.items()
            for check in check_columns(name, split_of(name, log.content), _columns(rows), log.records)
        ]
    return check_open_unlearning(log.content, log.records, measures)


def _columns(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows.values() for name in row)
    return {name: [row.get(name) for row in rows.values()] for name in names}


def _kept(log: _Log, path: Path) -> list[Measure]:
    """What only the log itself holds: privacy, memorisation by ranks; and all of a summary."""
    if log.kind in ("TOFU", "answers"):
        return []
    known = {c.name for c in check_open_unlearning(log.content, log.records, ()) if c.key} if log.records else set()
    found = []
    for name, value in aggregates(log.content).items():
        if name not in known:
            found.append(_as_logged(log, name, value, path))
    return found


def _as_logged(log: _Log, name: str, value: float, path: Path) -> Measure:
    rows = by_index(log.content, name)
    base, of_retain = name.removeprefix("retain_"), name.startswith("retain_")
    if base in ("extraction_strength", "exact_memorization") and rows:
        scores = [_share(row.get("score"), f"{path}: {name}: row {index}") for index, row in rows.items()]
        split = "retain" if of_retain else "forget"
        return measure(
            estimate_mean(scores, list(rows), key=f"{split}/{base}"),
            name=base,
            split=split,
            direction="up" if of_retain else "down",
            meaning=_LEAST if base == "extraction_strength" else _AS_LOGGED,
            absent="no row of the log has a score",
        )
    known = math.isfinite(value)
    return Measure(
        name=name,
        split="logged",
        value=value if known else None,
        count=len(rows),
        meaning=_AS_LOGGED,
        reason="" if known else "the log's number is no number",
    )


def _share(value: object, where: str) -> float | None:
    """A logged score from 0 to 1; None: the log has none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(f"{where}: its score is {shown(value)}, not a number from 0 to 1; evaluate again")
    return float(value)


def _evaluation(folder: RunFolder, point: Point, records: Sequence[Record], measures: Sequence[Measure]) -> Evaluation:
    evaluation = Evaluation(point=point, measures=tuple(measures))
    if not records:
        return evaluation
    file = folder.evaluations.records_file(evaluation)
    digest = folder.write_records(file, records)
    return replace(evaluation, records=file.relative_to(folder.path).as_posix(), records_sha256=digest)


def _results(name: str, found: Imported, evaluations: Sequence[Evaluation], logs: tuple[str, str | None]) -> Results:
    log, oracle = logs
    return Results(
        folder=Path(name),
        name=name,
        status="complete",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=f"of {log}",
        oracle=None if oracle is None else f"of {oracle}",
        suite=f"log of {found.kind}",
        evaluations=tuple(evaluations),
    )
