"""The file of a page on several runs, and what no page may replace."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import check_suffix
from forgetting.runs.paths import RunPaths, SweepPaths

PAGE = (".html", ".htm")
"""What the name of a page may end in."""
_LONGEST = 80
"""Letters of the names of runs in a file's name."""


def beside(runs: Sequence[Path], what: str) -> Path:
    """A page on several runs, next to the first of them: `one+two.compare.html`."""
    folders = [run.resolve() for run in runs]
    names = "+".join(folder.name for folder in folders)
    if len(names) > _LONGEST:
        names = f"{names[:_LONGEST]}-{hashlib.sha256(names.encode()).hexdigest()[:6]}"
    return folders[0].parent / f"{names}.{what}.html"


def check_page(out: Path, runs: Sequence[Path]) -> None:
    """Checks that a page on `runs` does not replace the report of another run or of a sweep, or another kind of file.

    Raises:
        RunError: it would.
    """
    check_suffix(out, *PAGE)
    folder = out.resolve().parent
    of_run = RunPaths(folder).is_run or RunPaths(folder).is_finished
    own = [run.resolve() for run in runs] == [folder]
    if out.name == RunPaths(folder).report_file.name and not own and (of_run or SweepPaths(folder).is_sweep):
        whose = "the run" if of_run else "the sweep"
        raise RunError(f"{out}: is the report of {whose} in that folder; name another file (--out)")
