"""Earlier runs that a model comes from, whose forget sets a run does not measure."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from forgetting.core.record import read_records
from forgetting.models.expression import terms_of
from forgetting.pipeline.run.source import is_run
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results


def unmeasured_requests(model: str, measured: Collection[str]) -> tuple[str, ...]:
    """The names of the runs that made the model and forgot examples that are not measured now, the latest first.

    What they forgot may have come back. A redacted run keeps no ids that can be compared, so it counts.

    Args:
        model: as a recipe names it: a run, the model in a run's folder, or anything else.
        measured: ids of the examples that are measured now.

    Raises:
        RunError: the results or records of such a run are damaged.
    """
    found: list[str] = []
    seen: set[Path] = set()
    place = _run_of(model)
    while place is not None and place.resolve() not in seen:
        seen.add(place.resolve())
        results = Results.load(place)
        if _forgets(results) and not _forgotten(place) <= set(measured):
            found.append(results.name)
        place = _run_of(results.model)
    return tuple(found)


def _run_of(model: str) -> Path | None:
    """The finished run that made a model; None if it was not made by one that is still there."""
    terms = terms_of(model)
    if len(terms) != 1:
        return None
    path = Path(terms[0].model)
    return next((p for p in (path, path.parent) if is_run(p) and RunFolder(p).is_finished), None)


def _forgets(results: Results) -> bool:
    return any(name.split(" ")[0] == "forget" for name in results.data)


def _forgotten(place: Path) -> set[str]:
    """The ids of what a run measured of its forget sets."""
    file = RunFolder(place).records_folder / "before.jsonl"
    if not file.is_file():
        return {""}  # unknown, so not measured
    return {record.id for record in read_records(file) if record.split.endswith("forget")} or {""}
