"""Earlier runs that a model comes from, and what a run measures of what they were to forget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Suite
from forgetting.core.example import Example
from forgetting.core.record import Record, read_records
from forgetting.core.subset import Subset
from forgetting.evaluation.records import record_of
from forgetting.models.expression import terms_of
from forgetting.pipeline.run.source import is_run
from forgetting.runs.folder import RunFolder
from forgetting.runs.redact import Redactor, known_redactor
from forgetting.runs.results import Results


@dataclass(frozen=True)
class Earlier:
    """What one earlier run was to forget."""

    name: str
    records: Mapping[str, Record]
    """Of the examples that it measured, by id; empty if that is not known."""
    redactor: Redactor | None
    """What ids and texts are hashed with; None if they are not."""

    def among(self, examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> list[str]:
        """The ids of those examples that the run was to forget; another example may bear such an id: texts decide."""
        return list(dict.fromkeys(e.id for e in examples if self._has(e, tokenizer)))

    def _has(self, example: Example, tokenizer: PreTrainedTokenizerBase) -> bool:
        known = self.records.get(example.id if self.redactor is None else self.redactor.id(example.id))
        if known is None:
            return False
        own = record_of(example, known.split, tokenizer)
        own = own if self.redactor is None else self.redactor.record(own)
        return (own.prompt, own.answer) == (known.prompt, known.answer)


def earlier_requests(model: str) -> list[Earlier]:
    """The runs that made the model and were to forget something, the latest first.

    Args:
        model: as a recipe names it: a run, the model in a run's folder, or anything else.

    Raises:
        RunError: the results or records of such a run are damaged.
    """
    found: list[Earlier] = []
    seen: set[Path] = set()
    place = _run_of(model)
    while place is not None and place.resolve() not in seen:
        seen.add(place.resolve())
        results = Results.load(place)
        if _forgets(results):
            found.append(_earlier(place, results))
        place = _run_of(results.model)
    return found


def unmeasured_requests(
    earlier: Sequence[Earlier], suite: Suite, tokenizer: PreTrainedTokenizerBase
) -> tuple[str, ...]:
    """The names of the runs that were to forget examples that the suite does not measure, or that are not known.

    What they forgot may have come back.
    """
    measured = [e for split in suite.splits for e in split.examples]
    return tuple(
        one.name for one in earlier if not one.records or len(one.among(measured, tokenizer)) < len(one.records)
    )


def measured_sets(earlier: Sequence[Earlier], suite: Suite, tokenizer: PreTrainedTokenizerBase) -> dict[str, Subset]:
    """By run, its examples in the first split to forget that has any of them."""
    found: dict[str, Subset] = {}
    for one in earlier:
        for split in suite.splits:
            ids = one.among(split.examples, tokenizer) if split.name in suite.declares.forget_splits else []
            if ids:
                found.setdefault(one.name, Subset(of=split.name, ids=tuple(ids)))
                break
    return found


def _run_of(model: str) -> Path | None:
    """The finished run that made a model; None if it was not made by one that is still there."""
    terms = terms_of(model)
    if len(terms) != 1:
        return None
    path = Path(terms[0].model)
    return next((p for p in (path, path.parent) if is_run(p) and RunFolder(p).is_finished), None)


def _forgets(results: Results) -> bool:
    return any(name.split(" ")[0] == "forget" for name in results.data)


def _earlier(place: Path, results: Results) -> Earlier:
    file = RunFolder(place).records_folder / "before.jsonl"
    records = [r for r in read_records(file) if r.split.endswith("forget")] if file.is_file() else []
    hashed = any(record.redacted is not None for record in records)
    redactor = known_redactor(place.parent) if hashed else None
    known = redactor is not None or not hashed
    return Earlier(results.name, {r.id: r for r in records} if known else {}, redactor)
