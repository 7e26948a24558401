"""How the command looks in a terminal: progress on standard error, tables on standard output."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from forgetting.core.errors import RunError
from forgetting.core.interruption import Interrupted
from forgetting.core.progress import Voice, minutes
from forgetting.core.text import plain

if TYPE_CHECKING:
    from forgetting.report.watched import Watched
    from forgetting.runs.progress import RunProgress


@contextmanager
def speaking(*, quiet: bool = False) -> Iterator[Voice]:
    """A voice that shows a progress bar in a terminal, and elsewhere plain lines, of progress one a minute.

    `quiet`: nothing at all.
    """
    _hush_libraries()
    with _voice(quiet) as voice:
        yield voice


@contextmanager
def _voice(quiet: bool) -> Iterator[Voice]:
    if quiet:
        yield Voice()
        return
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        with _lines() as lines:
            yield Voice(say=lines.say, progress=lines.progress)
        return
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total, description=note[: max(20, console.width - 45)])

        yield Voice(say=lambda line: console.print(Text(line)), progress=progress)


class Lines:
    """Progress where there is no terminal: one line after every minute in which nothing else was said.

    Args:
        write: prints one line.
        clock: seconds; any start.
    """

    EVERY = 60.0

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._lock = threading.Lock()
        self._spoken = clock()
        self._begun: tuple[float, int] | None = None  # when the work at hand was first reported, and how far it was
        self._done, self._total, self._note = 0, 0, ""

    def say(self, line: str) -> None:
        """Prints a line at once."""
        with self._lock:
            self._write(line)
            self._spoken = self._clock()

    def progress(self, done: int, total: int, note: str) -> None:
        """Notes how far the work is; work whose total changes or that steps back is new work."""
        with self._lock:
            if self._begun is None or total != self._total or done < self._done:
                self._begun = (self._clock(), done)
            self._done, self._total, self._note = done, total, note

    def tick(self) -> None:
        """Prints how far the work is if a line is due."""
        with self._lock:
            now = self._clock()
            if self._begun is None or now - self._spoken < self.EVERY:
                return
            self._spoken = now
            self._write(f"{self._how_far(now)}{f': {self._note}' if self._note else ''}")

    def _how_far(self, now: float) -> str:
        began, first = self._begun or (now, 0)
        if self._done >= self._total:  # all of what is known so far, or all
            return f"{self._done:,} done"
        far = f"{self._done:,} of {self._total:,}"
        if self._done == first:
            return far
        left = (now - began) / (self._done - first) * (self._total - self._done)
        return f"{far}, about {minutes(left)} left"


@contextmanager
def _lines() -> Iterator[Lines]:
    lines, ended = Lines(lambda line: print(line, file=sys.stderr, flush=True)), threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            lines.tick()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield lines
    finally:
        ended.set()


def _hush_libraries() -> None:
    """Progress bars and advice of the libraries below would break ours."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module="peft|torch|transformers")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table as wide as the terminal; in a pipe as wide as it needs."""
    console = Console(highlight=False)
    width = console.width if console.is_terminal else max(console.width, 200)
    Console(highlight=False, width=width).print(_table(columns, rows))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(plain(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def watching(look: Callable[[dict[Path, RunProgress]], Watched], every: float) -> Watched | None:
    """Shows a run or a sweep in a terminal until it goes on no longer, and returns the last look, to be printed.

    Where there is no terminal it looks once. A run that is just replacing a file is looked at once more.

    Args:
        look: is given what ended before, and adds to it.
        every: seconds between two looks.

    Returns:
        The last look; None after Ctrl-C.

    Raises:
        RunError: what `look` raises twice.
    """
    console = Console(highlight=False)
    ended: dict[Path, RunProgress] = {}
    found = look(ended)
    if not (console.is_terminal and found.goes_on):
        return found
    try:
        with Live(_screen(found), console=console, auto_refresh=False, transient=True) as live:
            while found.goes_on:
                time.sleep(every)
                try:
                    found = look(ended)
                except RunError:
                    time.sleep(every)
                    found = look(ended)
                live.update(_screen(found), refresh=True)
    except (Interrupted, KeyboardInterrupt) as asked:
        if isinstance(asked, Interrupted) and asked.number != signal.SIGINT:
            raise
        return None
    return found


def _screen(found: Watched) -> Group:
    parts: list[RenderableType] = [Text(plain(found.headline), style="bold")]
    for columns, rows in found.tables:
        parts += [Text(), _table(columns, rows)]
    return Group(*parts, Text(), Text("Ctrl-C leaves; the run goes on", style="dim"))
