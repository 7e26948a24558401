"""Tasks for a worker of another process; nothing heavy is imported."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import DataError
from forgetting.core.interruption import Interrupted, whole_if_alone


@dataclass(frozen=True)
class Job:
    """What one task does, and where it says so."""

    what: str
    folder: str
    threads: int = 1


def first_time(job: Job) -> bool:
    file = Path(job.folder) / f"begun-{job.what}"
    with file.open("a") as begun:
        begun.write("x")
    return file.stat().st_size == 1


def times(folder: Path, what: str) -> int:
    """How often a task was begun."""
    return (folder / f"begun-{what}").stat().st_size


def work(job: Job) -> None:
    first = first_time(job)
    if job.what == "data":
        raise DataError("rows.jsonl:3: no answer;\nwrite one")
    if job.what == "bug":
        raise ValueError("two\nlines")
    if job.what == "kill" or (job.what == "kill once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if job.what == "term once" and first:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if job.what == "print":
        print("to be seen by nobody", flush=True)


def save(folder: str) -> None:
    """Steps as a run's are; what it writes at the end is its checkpoint."""
    (Path(folder) / str(os.getpid())).write_text(str(os.getpid()))
    try:
        for _ in range(600):
            with whole_if_alone():
                time.sleep(0.1)
    except Interrupted:
        (Path(folder).parent / f"saved-{os.getpid()}").write_text("")
        raise
