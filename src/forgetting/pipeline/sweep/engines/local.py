"""Runs a list of tasks in local processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.interruption import SIGNALS, Interrupted, listening
from forgetting.pipeline.sweep.engines.engine import PATIENCE, Capacity, Outcome, attempt, threads_of_each


@dataclass(frozen=True)
class Processes:
    """New Python processes on this machine, each used for one task after another."""

    count: int

    def capacity(self) -> Capacity:
        """See `Engine.capacity`: the cores of this machine are shared."""
        return Capacity(at_once=self.count, threads=threads_of_each(self.count))

    def map(self, work: Callable[[Any], None], tasks: Sequence[Any]) -> Generator[Outcome, None, None]:
        """See `Engine.map`."""
        waiting = deque(enumerate(tasks))
        workers = [_Worker(work) for _ in range(min(self.count, len(tasks)))]
        try:
            for worker in workers:
                worker.begin(*waiting.popleft())
            while workers:
                ready = wait([w.pipe for w in workers])
                for worker in [w for w in workers if w.pipe in ready]:
                    yield worker.outcome()
                    if waiting and not worker.alive:
                        workers[workers.index(worker)] = worker = _Worker(work)
                    if waiting:
                        worker.begin(*waiting.popleft())
                    else:
                        worker.end()
                        workers.remove(worker)
        finally:
            for worker in workers:
                worker.ask_to_end()
            for worker in workers:
                worker.end()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, work: Callable[[Any], None]) -> None:
        # Not forked: a forked process can hang if torch has threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work))
        self.process.start()
        theirs.close()
        self.alive = True
        self.task = -1

    def begin(self, index: int, task: Any) -> None:
        """Sends it a task."""
        self.task = index
        with suppress(OSError):  # If it is dead, `outcome` reports it.
            self.pipe.send(task)

    def outcome(self) -> Outcome:
        """The outcome of its task, once the pipe has data."""
        try:
            return Outcome(self.task, self.pipe.recv())
        except (EOFError, OSError):
            self.alive = False
            self.process.join()
            return Outcome(self.task, _death(self.process.exitcode))

    def ask_to_end(self) -> None:
        """Asks the process to save and to end, also in the middle of a task."""
        self.process.terminate()

    def end(self) -> None:
        """Ends the process, in the middle of a task if it does not end by itself in time."""
        self.ask_to_end()
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = " (often: out of memory)" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{memory}"
    return f"the process ended with exit code {code}"


def _serve(pipe: Connection, work: Callable[[Any], None]) -> None:
    """The main loop of a worker: task after task until its parent closes the pipe."""
    for number in SIGNALS:  # Ctrl-C and a closed terminal reach the whole group; the parent decides.
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with listening():
            while True:
                task = pipe.recv()
                error = attempt(work, task)
                del task
                gc.collect()  # A model has reference cycles, and the next task's model needs the memory.
                pipe.send(error)
    except EOFError:
        return
    except Interrupted as asked:
        sys.exit(asked.exit_code)


def _end_with_parent() -> None:
    """Ends a worker when its parent is killed, so that it does not write into a folder that a new start takes over."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RunError("a worker has no parent")
    wait([parent.sentinel])
    os._exit(1)
