"""Signals that ask a command to end: Ctrl-C, and what a cluster or a closed terminal sends.

The command ends where it is, by an exception that no library catches. What is begun inside `whole_if_alone` is finished
first, so that the work can be saved; asked a second time, the command ends there too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from forgetting.core.processes import in_all

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """The command was asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell reports of a program that a signal ended."""
        return 128 + self.number

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f"interrupted by {name}; run the same command to resume from what it has saved"


_inside = 0
_asked = 0


@contextmanager
def listening() -> Iterator[None]:
    """Inside, these signals raise `Interrupted`; one that was ignored before, as under `nohup`, stays ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS} if current_thread() is main_thread() else {}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    if _inside and not _asked:
        _asked = number
        return
    raise Interrupted(number)


@contextmanager
def whole_if_alone() -> Iterator[Callable[[], bool]]:
    """The block is finished before the command ends; the value says whether it was asked to end.

    Several processes end at once: each hears of it at another step, and would wait for the others.

    Raises:
        Interrupted: at the end of the block, if it was asked to end.
    """
    global _inside, _asked
    if in_all() > 1:
        yield lambda: False
        return
    _inside += 1
    try:
        yield lambda: bool(_asked)
    finally:
        _inside -= 1
        number, ended = _asked, not _inside
        if ended:
            _asked = 0
    if ended and number:
        raise Interrupted(number)
