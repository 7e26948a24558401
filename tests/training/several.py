"""Two processes that stay, joined as a launcher would join them: a test hands both a function and gets both results."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

HANGS_AFTER = 600
"""Seconds without an answer."""


class Several:
    """`count` processes with a gloo group."""

    def __init__(self, meeting: Path, count: int = 2) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends, self._processes = [], []
        for rank in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_live, args=(rank, count, str(meeting), theirs), daemon=True)
            process.start()
            self._ends.append(ours)
            self._processes.append(process)

    def run(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What `work(*arguments)` gives in each process; it must be a function of a module."""
        for end in self._ends:
            end.send((work, arguments))
        found = []
        for rank, end in enumerate(self._ends):
            assert end.poll(HANGS_AFTER), f"process {rank} hangs in {work.__name__}{arguments}"
            done, value = end.recv()
            found.append(value)
            assert done, f"process {rank}: {value}"
        return found

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _live(rank: int, count: int, meeting: str, end: Connection) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=timedelta(seconds=HANGS_AFTER)
    )
    while True:
        work, arguments = end.recv()
        try:
            end.send((True, work(*arguments)))
        except Exception:
            end.send((False, traceback.format_exc()))
