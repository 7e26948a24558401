"""What was to be forgotten removed from a finished run: earlier weights, caches and texts go, model and numbers stay.

Weights of before (and in the middle of) unlearning know what the model was to forget; stored references hold its hidden
states or probabilities, what an initialisation computed its gradients, records and selections its texts. A cache's
entries are found by content and do not say whose they are, so the whole `.cache` beside the run goes: the other runs of
the folder lose time by it, never a result, for they compute again what they need.

Files are unlinked, not overwritten. Every step can be cut off and done again: the run counts as purged at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.folder import write_text
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import read_records, write_records
from forgetting.pipeline.run.ownership import locked
from forgetting.report.run.page import build_report
from forgetting.runs.audits import Analysed, Audit
from forgetting.runs.redact import Redactor, key_file, redactor_of
from forgetting.runs.results import Results

OF_STAGES = {
    "last": "checkpoint",
    "proven": "checkpoint",
    "best": "checkpoint",
    "model": "model between stages",
    "importance": "what adapter initialisations computed of the data",
    "handed-over": "digest of the data",
    "scored.json": "digest of the data",
}
OF_CACHE = {
    "references": "stored references of the model before",
    "records": "records of models before training",
    "stages": "stages trained for several runs",
    "scores": "token scores",
}
"""What `.cache` holds, by folder; `redaction.key` and locks are not listed."""


@dataclass(frozen=True)
class Item:
    """One file or folder that is removed, or rewritten without its texts."""

    path: Path
    what: str
    bytes: int
    rewritten: bool = False


@dataclass(frozen=True)
class Plan:
    """What a purge will do, and what the user should know of it."""

    run: Path
    items: tuple[Item, ...]
    notes: tuple[str, ...]
    purged: str = ""
    """When the run was purged before; empty: it was not."""

    @property
    def bytes(self) -> int:
        """Of all that is removed."""
        return sum(item.bytes for item in self.items if not item.rewritten)


def plan_purge(run: Path) -> Plan:
    """What `purge` would do; nothing is changed.

    Raises:
        RunError: no finished run, or a process is at work in it or in a run that shares its caches.
    """
    run = _named(run)
    _check_free(run)
    return _plan(run)


def _plan(run: Path) -> Plan:
    results = Results.load(run)
    items = [*_weights(run), *_texts(run), *_left_over(run)]
    if not (results.redacted or results.purged) and (run / "report.html").exists():
        items.append(Item(run / "report.html", "report with texts", _size(run / "report.html"), rewritten=True))
    items += [
        Item(path, OF_CACHE.get(path.name, "cache"), _size(path))
        for path in _inside(run.parent / ".cache")
        if _size(path)
    ]
    return Plan(run, tuple(items), tuple(_notes(run, results)), results.purged)


def purge(run: Path, *, voice: Voice = SILENT) -> Plan:
    """Removes and rewrites what the plan says, and returns it. A run that was purged before is purged of what is new.

    Raises:
        RunError: as `plan_purge`, or the disk refuses; called again, it goes on.
    """
    run = _named(run)
    plan_purge(run)
    with locked(run):
        plan = _plan(run)
        try:
            if plan.items or not (plan.purged and (run / "report.html").is_file()):
                _carry_out(plan, voice)
        except OSError as error:
            raise RunError(
                f"{error.filename or run}: cannot be removed or written ({error.strerror}); mend it and purge again"
            ) from error
    (run / ".lock").unlink(missing_ok=True)
    return plan


def _named(run: Path) -> Path:
    """The folder by its name, where it was given as `.` or so: caches and other runs stand beside it."""
    return run if run.name not in ("", "..") else run.resolve()


def _carry_out(plan: Plan, voice: Voice) -> None:
    run, cache = plan.run, plan.run.parent / ".cache"
    redactor = redactor_of(run.parent)
    (run / "report.html").unlink(missing_ok=True)  # nothing is left of it if the way ends here
    for item in plan.items:
        if item.path.suffix == ".jsonl" and item.rewritten:
            write_records(item.path, map(redactor.record, read_records(item.path)))
        elif item.path.name == "selection.json" and item.rewritten:
            shown = redactor.selection(json.loads(item.path.read_text(encoding="utf-8")))
            write_text(item.path, json.dumps(shown, ensure_ascii=False))
        elif not item.rewritten:
            _remove(item.path)
            voice.say(f"removed: {item.path}")
    _mark(run, redactor)
    build_report([run], run / "report.html")
    if not any(_is_unpurged(other) for other in _others(run)):
        key_file(run.parent).unlink(missing_ok=True)
        (cache / ".lock").unlink(missing_ok=True)
    if cache.is_dir() and not any(cache.iterdir()):
        cache.rmdir()


def _mark(run: Path, redactor: Redactor) -> None:
    """results.json says that the run was purged, and nothing that texts could be found by."""
    file = run / "results.json"
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if not results.get("redacted"):
        for facts in results["data"].values():
            facts["sha256"] = redactor.hash("data", str(facts.get("sha256")))
        _hide_questions(run, redactor)
    for evaluation in results["evaluations"]:
        kept = evaluation["records"]
        evaluation["records"] = kept if kept is not None and (run / kept).is_file() else None
    results |= {"redacted": True, "purged": results.get("purged") or datetime.now(UTC).isoformat(timespec="seconds")}
    write_text(file, json.dumps(results, indent=1, ensure_ascii=False))


def _hide_questions(run: Path, redactor: Redactor) -> None:
    """What audits and analyses are recognised by is a digest of examples too."""
    for file in sorted(run.glob("audits/*.json")):
        if (audit := Audit.load(file)) is not None:
            replace(audit, asked=redactor.hash("audit", audit.asked)).save(file)
    for file in sorted(run.glob("analyses/*.json")):
        if (analysed := Analysed.load(file)) is not None:
            replace(analysed, key=redactor.hash("analysis", analysed.key)).save(file)


def _check_free(run: Path) -> None:
    """Raises where it is not a finished run, or somebody is at work in it or in its caches."""
    if (run / "sweep.json").is_file():
        raise RunError(f"{run}: is a sweep; purge its runs one by one (forget purge {run}/NAME)")
    if run.is_dir():
        for folder in (run, run.parent, *_others(run)):
            _check_idle(folder / ".lock", folder)
        for lock in (run.parent / ".cache").glob("**/.lock"):
            _check_idle(lock, lock.parent)
        if (run / "results.json").is_file() and not (run / "recipe.yaml").is_file():
            raise RunError(f"{run}: holds an imported log and was never a run; remove the folder")
        if (run / "recipe.yaml").is_file() and not (run / "results.json").is_file():
            raise RunError(f"{run}: the run has not finished; start it again to end it, or remove the folder")


def _check_idle(lock: Path, folder: Path) -> None:
    if not lock.is_file():
        return
    with lock.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder}: a process is at work there; wait for it to end, and purge then") from None


def _weights(run: Path) -> Iterator[Item]:
    for stage in _inside(run / "stages"):
        for name, what in OF_STAGES.items():
            if _is_there(stage / name):
                yield Item(stage / name, what, _size(stage / name))
    if _is_there(run / "data.json"):
        yield Item(run / "data.json", "digests of the data", _size(run / "data.json"))


def _texts(run: Path) -> Iterator[Item]:
    """Records and selections; those that cannot be read are removed."""
    for file in [*_inside(run / "records"), *sorted(run.glob("audits/*/*.jsonl"))]:
        try:
            if file.suffix == ".jsonl" and all(r.redacted is not None for r in read_records(file)):
                continue
            yield Item(file, "records with texts", _size(file), rewritten=file.suffix == ".jsonl")
        except (RunError, UnicodeDecodeError):
            yield Item(file, "records that cannot be read", _size(file))
    for file in sorted(run.glob("stages/*/selection.json")):
        try:
            shown = json.loads(file.read_text(encoding="utf-8"))
            if not shown.get("redacted"):
                Redactor(b"").selection(shown)
                yield Item(file, "selection with texts", _size(file), rewritten=True)
        except (ValueError, KeyError, TypeError, AttributeError):
            yield Item(file, "selection that cannot be read", _size(file))


def _left_over(run: Path) -> Iterator[Item]:
    """What processes that died left half-written, and folders that were being replaced."""
    inside = [path for pattern in (".*.partial", ".*.old") for path in run.rglob(pattern)]
    for path in sorted(inside):
        if path.parent.name not in OF_STAGES and path.parent != run / "records":
            yield Item(path, "half-written", _size(path))


def _notes(run: Path, results: Results) -> Iterator[str]:
    if not any((run / name).is_dir() for name in ("model", "merged")):
        yield f"{run}: holds no model; the checkpoints are all that is left of its weights"
    unfinished = [o.name for o in _others(run) if not (o / "results.json").is_file()]
    if unfinished and any(_size(path) for path in _inside(run.parent / ".cache")):
        yield f"not finished beside it: {', '.join(unfinished)}; what they need of the caches they compute again"
    own = Path(results.recipe.get("output", run.parent)) / ".cache"
    if own.is_dir() and own.resolve() != (run.parent / ".cache").resolve():
        yield f"{own}: the run was made below another folder, whose caches are left; remove them yourself"
    pages = [*run.glob("*.html"), *([] if (run.parent / "sweep.json").is_file() else run.parent.glob("*.html"))]
    for page in sorted(page for page in pages if page != run / "report.html"):
        yield f"{page}: is left, and may show answers; make it anew (forget report, forget compare), or remove it"
    links = [
        path for root in (run, run.parent / ".cache") if root.is_dir() for path in root.rglob("*") if path.is_symlink()
    ]
    for link in sorted(links):
        yield f"{link}: is a link; what it points to is left"


def _others(run: Path) -> list[Path]:
    """The other runs of the folder."""
    found = (path for path in run.parent.iterdir() if (path / "recipe.yaml").is_file())
    return sorted(path for path in found if path.resolve() != run.resolve())


def _is_unpurged(run: Path) -> bool:
    try:
        return not Results.load(run).purged
    except RunError:  # not finished, or not readable
        return True


def _inside(folder: Path) -> Sequence[Path]:
    """What a folder holds, but for locks and the key; empty where there is none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name not in (".lock", key_file(folder).name))


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder: what is there twice by a hard link counts once."""
    files = [path] if path.is_file() or path.is_symlink() else [f for f in path.rglob("*") if not f.is_dir()]
    return sum({(s.st_dev, s.st_ino): s.st_size for s in (os.lstat(f) for f in files)}.values())
