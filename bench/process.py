"""Runs one measurement in its own process: time, peak memory, and how much other processes disturbed it."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_fresh_process(preload: Sequence[str], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls `function` in a process that has done nothing but import `preload`.

    It is forked from a server that has done just that, so a measurement does not pay for the imports of torch.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with ProcessPoolExecutor(max_workers=1, mp_context=context, max_tasks_per_child=1) as pool:
        return pool.submit(function, *args, **kwargs).result()


class Memory:
    """Peak memory above what is held when this object is made: of this process (Linux only), or of a CUDA device."""

    def __init__(self, device: str = "cpu") -> None:
        gc.collect()
        self._cuda = _cuda(device)
        if self._cuda is not None:
            self._cuda.empty_cache()
            self._cuda.reset_peak_memory_stats()
            self._held = self._cuda.memory_allocated()
            return
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what glibc keeps of freed blocks is not held by anybody
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        self._baseline = _status("VmRSS")

    def held_mib(self) -> float | None:
        """MiB that are held now above what was held then; None where the system does not tell."""
        if self._cuda is not None:
            return float(self._cuda.memory_allocated() - self._held) / 2**20
        now = _status("VmRSS")
        return None if now is None or self._baseline is None else (now - self._baseline) / 1024

    def peak_mib(self) -> float | None:
        """MiB; None where the system does not tell."""
        if self._cuda is not None:
            return float(self._cuda.max_memory_allocated() - self._held) / 2**20
        peak = _status("VmHWM")
        return None if peak is None or self._baseline is None else (peak - self._baseline) / 1024


def _cuda(device: str) -> Any:
    """torch.cuda for a CUDA device; a process that measures none never imports it."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda


def _status(field: str) -> int | None:
    """A field of /proc/self/status in KiB."""
    file = Path("/proc/self/status")
    if not file.is_file():
        return None
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(f"{field}:"))


@dataclass(frozen=True)
class Elapsed:
    """How long something took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of processor time of all threads, which hardly depends on what else the machine does."""
    waiting: float
    """Share of the wall time in which a thread was ready to run but another process had the processor (the thread that
    waited most); 0 on a quiet machine or where not known."""


class Clock:
    """Runs from when it is made, with all that a CUDA device had been asked before done."""

    def __init__(self, device: str = "cpu") -> None:
        self._cuda = _cuda(device)
        if self._cuda is not None:
            self._cuda.synchronize()
        self._waited, self._cpu, self._wall = _waited(), time.process_time(), time.perf_counter()

    def read(self) -> Elapsed:
        """The time since then, until the device is done."""
        if self._cuda is not None:
            self._cuda.synchronize()
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        waits = [after - self._waited.get(thread, 0.0) for thread, after in _waited().items()]
        return Elapsed(wall, cpu, max(waits, default=0.0) / wall)


def _waited() -> dict[str, float]:
    """Seconds that each thread of this process has waited for a processor (Documentation/scheduler/sched-stats)."""
    found = {}
    for file in Path("/proc/self/task").glob("*/schedstat"):
        found[file.parent.name] = int(file.read_text().split()[1]) / 1e9
    return found
