"""What runs a list of tasks: local processes, a cluster, or an engine of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from forgetting.core.errors import ForgettingError, is_panic
from forgetting.core.text import one_line

PATIENCE = 30.0
"""Seconds that a worker has to finish its step, to save, and to end by itself."""


@dataclass(frozen=True)
class Outcome:
    """How one task ended."""

    task: int
    """Its index in the list."""
    error: str | None = None
    """One line; None: it succeeded."""


@dataclass(frozen=True)
class Capacity:
    """What an engine can run."""

    at_once: int
    """Tasks at the same time."""
    threads: int
    """CPU threads of a task that does not ask for a number."""


class Engine(Protocol):
    """Runs tasks in any order, several at once."""

    def capacity(self) -> Capacity:
        """What it can run; asked before `map`, so that the tasks can be made to fit.

        Raises:
            RunError: the engine cannot be started or reached.
        """

    def map(self, work: Callable[[Any], None], tasks: Sequence[Any]) -> Generator[Outcome, None, None]:
        """Calls `work` (a function of a module) once on every task, and yields the outcome of each when it ends.

        An error of one task, or the death of its process, is that task's outcome; the others continue. A task with an
        attribute `threads` needs so many CPU threads. Closing the generator stops the running tasks.

        Raises:
            RunError: no task can be run like this.
        """


def attempt(work: Callable[[Any], None], task: Any) -> str | None:
    """Does a task, in the process of a worker, and returns its error in one line; None: it succeeded.

    What is no error of the task, such as a signal, is raised.
    """
    try:
        work(task)
    except (ForgettingError, OSError) as error:
        return one_line(str(error))
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        return one_line(f"{type(error).__name__}: {error}")
    return None


def threads_of_each(at_once: int) -> int:
    """CPU threads of each of so many tasks at once: a share of the cores, or OMP_NUM_THREADS where that is less."""
    share, asked = max(1, cores() // at_once), os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdecimal() and int(asked) else share


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
