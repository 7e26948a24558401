"""A limit of time for the code of others: patterns and templates can be written so that they never end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_AGAIN = 0.5
"""Seconds until the limit is enforced again where the code inside went on."""
_LOADED = 30
"""On a machine that is full of other work a second of the processor may take so many."""
_MATCHES = """
import json, re, sys
patterns, texts, seconds = json.load(sys.stdin)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
except ImportError:
    pass
for pattern in patterns:
    compiled = re.compile(pattern)
    for text in texts:
        compiled.fullmatch(text)
    print(flush=True)
"""
"""The program of another process: a line for each pattern that came to its end."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends what runs inside after so many seconds, also in the middle of a regular expression or a large power.

    Seconds of the processor: what is slow because other work takes the machine is left alone. It needs signals, so
    there is no limit on Windows and in threads other than the main one.

    Raises:
        TimeoutError: it took longer.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    said = f"it takes longer than {seconds:g} s of the processor"
    fired = False

    def late(number: int, frame: object) -> None:
        nonlocal fired
        fired = True
        raise TimeoutError(said)

    began = time.process_time()
    handler = signal.signal(signal.SIGVTALRM, late)
    left, interval = signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
        if left:  # an outer limit goes on
            signal.setitimer(signal.ITIMER_VIRTUAL, max(left - (time.process_time() - began), 1e-3), interval)
    if fired:  # the code inside caught it
        raise TimeoutError(said)


def endless_pattern(patterns: Sequence[str], texts: Sequence[str], seconds: float) -> int | None:
    """The index of the first pattern that `re` cannot match with all texts before the time is over; None: all can.

    Another process tries them, so the limit holds in every thread and on every system: one of the processor's time
    where the system has one, and of 30 times as long in any case. The module `regex` has a limit of its own, but ends
    at once on patterns that never end in `re`, which is what other programs match with.

    Args:
        patterns: to be tried, in order.
        texts: what each is matched with.
        seconds: whole ones.
    """
    if not patterns:
        return None
    try:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MATCHES],
            input=json.dumps([patterns, texts, max(1, round(seconds))]).encode(),
            capture_output=True,
            check=True,
            timeout=seconds * _LOADED,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        return len((error.stdout or b"").splitlines())
    return None
