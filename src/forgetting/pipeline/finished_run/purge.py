"""Removes the forgotten data from a finished run: earlier weights, caches and texts; model and numbers are kept.

Weights from before (and during) unlearning know what the model should forget; stored references hold its hidden states
or probabilities, results of initialisations its gradients, records and selections its texts. Cache entries are keyed by
content and do not say which run they belong to, so all caches next to the run are removed: other runs of the folder
lose time, but no results, because they compute what they need again.

Files are unlinked, not overwritten. Every step can be interrupted and repeated; the run is marked as purged at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import remove
from forgetting.core.locks import LOCK, is_held, locked
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import read_records
from forgetting.report.run.page import build_report
from forgetting.runs.audits import Analysed, Audit
from forgetting.runs.folder import RunFolder
from forgetting.runs.not_a_run import check_run
from forgetting.runs.output import OutputFolder
from forgetting.runs.paths import RunPaths, StagePaths, SweepPaths
from forgetting.runs.redact import redactor_of
from forgetting.runs.results import Results
from forgetting.runs.stage_folder import StageFolder
from forgetting.runs.sweep import SweepFolder


def _of_stage(stage: StagePaths) -> dict[Path, str]:
    """The files of a stage that are removed."""
    return {
        **dict.fromkeys(stage.checkpoints, "checkpoint"),
        stage.model: "model between stages",
        stage.importance: "what an adapter's initialisation computed from the data",
        stage.handed_over_file: "digest of the data",
        stage.scores_file: "digest of the data",
    }


def _of_cache(output: OutputFolder) -> dict[Path, str]:
    """The contents of the caches, by folder; the key and locks are not listed."""
    return {
        output.references.folder: "stored references of the model before",
        output.records.folder: "records of models before training",
        output.stages.folder: "stages trained for several runs",
        output.scores.folder: "token scores",
        output.judgements: "replies of judges",
        output.initialisations.folder: "what adapters' initialisations computed from the data",
    }


@dataclass(frozen=True)
class Item:
    """One file or folder that is removed, or rewritten without its texts."""

    path: Path
    what: str
    bytes: int
    rewritten: bool = False


@dataclass(frozen=True)
class Plan:
    """What a purge will do, and notes for the user."""

    run: Path
    items: tuple[Item, ...]
    notes: tuple[str, ...]
    purged: str = ""
    """When the run was already purged; empty: it was not."""

    @property
    def bytes(self) -> int:
        """Bytes of all files that are removed."""
        return sum(item.bytes for item in self.items if not item.rewritten)


def plan_purge(run: Path) -> Plan:
    """What `purge` would do; nothing is changed.

    Raises:
        RunError: no finished run, or a process is using it or a run that shares its caches.
    """
    run = _named(run)
    _check_free(run)
    return _plan(run)


def _plan(run: Path) -> Plan:
    folder = RunFolder(run)
    results = Results.load(run)
    items = [*_weights(folder), *_texts(folder, results), *_left_over(folder)]
    log = SweepPaths(run.parent).log(run.name)
    if log.is_file() and not results.redacted:
        items.append(Item(log, "what the run printed in its sweep", _size(log)))
    if not (results.redacted or results.purged) and folder.report_file.exists():
        items.append(Item(folder.report_file, "report with texts", _size(folder.report_file), rewritten=True))
    known = _of_cache(folder.output)
    items += [
        Item(path, known.get(path, "cache"), _size(path)) for path in _inside(folder.output.shared) if _size(path)
    ]
    return Plan(run, tuple(items), tuple(_notes(folder, results)), results.purged)


def purge(run: Path, *, voice: Voice = SILENT) -> Plan:
    """Removes and rewrites files according to the plan, and returns it. In an already purged run, new files are purged.

    Raises:
        RunError: as `plan_purge`, or the disk cannot be written; another call resumes.
    """
    run = _named(run)
    plan_purge(run)
    with locked(run):
        plan = _plan(run)
        try:
            if plan.items or not (plan.purged and RunPaths(run).report_file.is_file()):
                _remove_all(plan, voice)
        except OSError as error:
            raise RunError(
                f"{error.filename or run}: cannot be removed or written ({error.strerror}); fix it and purge again"
            ) from error
    return plan


def _named(run: Path) -> Path:
    """The folder with its name, also if given as `.`: caches and other runs are next to it."""
    return run if run.name not in ("", "..") else run.resolve()


def _remove_all(plan: Plan, voice: Voice) -> None:
    folder = RunFolder(plan.run, redactor_of(plan.run.parent))
    output = folder.output
    folder.report_file.unlink(missing_ok=True)  # so that none is left if the purge is interrupted
    for item in plan.items:
        if item.rewritten:
            _rewrite(folder, item.path)
        else:
            remove(item.path)
            voice.say(f"removed: {item.path}")
    _mark(folder)
    try:
        build_report([folder.path], folder.report_file)
    except RunError as error:
        raise RunError(f"{folder.path}: is purged, but its report cannot be written again: {error}") from error
    if not any(_is_unpurged(other) for other in _others(folder)):
        output.key_file.unlink(missing_ok=True)
        (output.shared / LOCK).unlink(missing_ok=True)
    if output.shared.is_dir() and not any(output.shared.iterdir()):
        output.shared.rmdir()


def _rewrite(folder: RunFolder, file: Path) -> None:
    """Writes a file of records or a selection again, without its texts; the report is written again at the end."""
    if file.suffix == ".jsonl":
        folder.write_records(file, read_records(file))
    elif file != folder.report_file:
        stage = StageFolder(file.parent, folder.redactor)
        selection = stage.selection()
        assert selection is not None, "it was read for the plan"
        stage.write_selection(selection)


def _mark(folder: RunFolder) -> None:
    """Marks the results as purged, and removes digests that could reveal texts."""
    results = folder.results()
    if not results.redacted:
        _hide_questions(folder)
    evaluations = tuple(
        replace(e, records_sha256=file_digest(folder.path / e.records))
        if e.records is not None and (folder.path / e.records).is_file()
        else replace(e, records=None, records_sha256="")
        for e in results.evaluations
    )
    now = results.purged or datetime.now(UTC).isoformat(timespec="seconds")
    folder.write_results(replace(results, evaluations=evaluations, purged=now))


def _hide_questions(folder: RunFolder) -> None:
    """Removes the keys of audits and analyses, which are digests of examples too, and the texts of analyses."""
    for file in sorted(folder.audits_folder.glob("*.json")):
        if (audit := Audit.load(file)) is not None:
            points = {
                point: replace(found, records_sha256=file_digest(folder.path / found.records))
                for point, found in audit.points.items()
                if (folder.path / found.records).is_file()
            }
            replace(audit, asked=folder.keyed("audit", audit.asked), points=points).save(file)
    for file in sorted(folder.analyses_folder.glob("*.json")):
        if (analysed := Analysed.load(file)) is not None:
            replace(analysed, key=folder.keyed("analysis", analysed.key), texts={}).save(file)


def _check_free(run: Path) -> None:
    """Raises if it is not a finished run, or a process is using it or its caches."""
    folder = RunFolder(run)
    if SweepPaths(run).is_sweep:
        raise RunError(f"{run}: is a sweep; purge its runs one by one (forget purge {run}/NAME)")
    if run.is_dir():
        runs = (run, run.parent, *(other.path for other in _others(folder)))
        for held in (*(path for path in runs if is_held(path)), *folder.output.held_entries()):
            raise RunError(f"{held}: a process is using it; wait for it to end, then purge")
        if folder.import_file.is_file() and not folder.is_run:
            raise RunError(f"{run}: holds an imported log and was never a run; remove the folder")
        if folder.settings_file.is_file() and not folder.is_run:
            raise RunError(f"{run}: is an evaluation and was never a run; remove the folder")
        if folder.is_finished:
            check_run(run)
        elif folder.is_run:
            raise RunError(f"{run}: the run has not finished; start it again to finish it, or remove the folder")


def _weights(folder: RunFolder) -> Iterator[Item]:
    for stage in folder.stages():
        for path, what in _of_stage(stage).items():
            if _is_there(path):
                yield Item(path, what, _size(path))
    for path, what in ((folder.data_file, "digests of the data"), (folder.prompt_file, "prompt with a text")):
        if _is_there(path):
            yield Item(path, what, _size(path))


def _texts(folder: RunFolder, results: Results) -> Iterator[Item]:
    """Records and selections; those that cannot be read, or are not as they were written, are removed."""
    written = {folder.path / e.records: e.records_sha256 for e in results.evaluations if e.records is not None}
    for file in [*_inside(folder.records_folder), *sorted(folder.audits_folder.glob("*/*.jsonl"))]:
        try:
            if file.suffix == ".jsonl" and all(r.redacted is not None for r in read_records(file)):
                continue
            known = written.get(file, "")
            if known and file_digest(file) != known:
                raise RunError(f"{file}: is damaged")
            yield Item(file, "records with texts", _size(file), rewritten=file.suffix == ".jsonl")
        except (RunError, UnicodeDecodeError):
            yield Item(file, "records that cannot be read", _size(file))
    for stage in folder.stages():
        file = stage.selection_file
        try:
            selection = stage.selection()
            if selection is not None and not selection.redacted:
                yield Item(file, "selection with texts", _size(file), rewritten=True)
        except RunError:
            yield Item(file, "selection that cannot be read", _size(file))


def _left_over(folder: RunFolder) -> Iterator[Item]:
    """Half-written files of dead processes, and folders that were being replaced."""
    removed = {folder.records_folder, *(path for stage in folder.stages() for path in _of_stage(stage))}
    inside = [path for pattern in (".*.partial", ".*.old") for path in folder.path.rglob(pattern)]
    for path in sorted(inside):
        if path.parent not in removed:
            yield Item(path, "half-written", _size(path))


def _notes(folder: RunFolder, results: Results) -> Iterator[str]:
    run, output = folder.path, folder.output
    if not (folder.model.is_dir() or folder.merged.is_dir()):
        yield f"{run}: holds no model; the checkpoints are its only weights"
    unfinished = [other.path.name for other in _others(folder) if not other.is_finished]
    if unfinished and any(_size(path) for path in _inside(output.shared)):
        yield f"unfinished runs next to it: {', '.join(unfinished)}; they compute what they need of the caches again"
    there = OutputFolder(Path(results.recipe.get("output", output.path))).shared
    if there.is_dir() and there.resolve() != output.shared.resolve():
        yield f"{there}: the run was made in another folder, and its caches there are kept; remove them yourself"
    sweep = SweepFolder(output.path)
    if not results.redacted:
        yield from _failed(sweep)
    own = {folder.report_file, folder.certificate_page, *([sweep.report_file] if sweep.is_sweep else [])}
    pages = {*run.glob("*.html"), *output.path.glob("*.html")} - own
    for page in sorted(pages):
        yield f"{page}: is kept, and may show answers; write it again (forget report, forget compare), or remove it"
    roots = [root for root in (run, output.shared) if root.is_dir()]
    for link in sorted(path for root in roots for path in root.rglob("*") if path.is_symlink()):
        yield f"{link}: is a link; its target is kept"


def _failed(sweep: SweepFolder) -> Iterator[str]:
    """Names the files of a sweep that hold the errors of its failed runs, as the sweep needs them to go on."""
    try:
        failed = [*sweep.failures()]
    except RunError:
        failed = ["unknown"]
    if failed:
        pages = (sweep.results_file, sweep.table_file, sweep.report_file, *map(sweep.log, failed))
        also = ", ".join(str(path.relative_to(sweep.path)) for path in pages if path.is_file())
        yield (
            f"{sweep.failures_file}: is kept, and errors of failed runs may quote the data ({', '.join(failed)})"
            + (f"; so may {also} beside it" if also else "")
            + "; remove them, and the folders of those runs, yourself"
        )


def _others(folder: RunFolder) -> list[RunPaths]:
    """The other runs of the output folder."""
    return [other for other in folder.output.runs() if other.path.resolve() != folder.path.resolve()]


def _is_unpurged(run: RunPaths) -> bool:
    try:
        return not Results.load(run.path).purged
    except RunError:  # not finished, or not readable
        return True


def _inside(folder: Path) -> Sequence[Path]:
    """The contents of a folder without locks and the key; empty if there is no folder."""
    if not folder.is_dir():
        return []
    kept = (LOCK, OutputFolder(folder.parent).key_file.name)
    return sorted(path for path in folder.iterdir() if path.name not in kept)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; hard links to one file are counted once."""
    files = [path] if path.is_file() or path.is_symlink() else [f for f in path.rglob("*") if not f.is_dir()]
    return sum({(s.st_dev, s.st_ino): s.st_size for s in (os.lstat(f) for f in files)}.values())
