"""How the command looks in a terminal: progress on standard error, tables on standard output."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from forgetting.core.progress import Voice
from forgetting.core.text import plain


@contextmanager
def speaking(*, quiet: bool = False) -> Iterator[Voice]:
    """A voice that shows a progress bar in a terminal and plain lines elsewhere; `quiet`: nothing at all."""
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
        yield Voice(say=lambda line: print(line, file=sys.stderr, flush=True))
        return
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, note: str) -> None:
            bar.update(task, completed=done, total=total, description=note[: max(20, console.width - 45)])

        yield Voice(say=lambda line: console.print(Text(line)), progress=progress)


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
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(plain(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console(highlight=False, width=width).print(table)
