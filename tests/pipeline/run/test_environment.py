"""What a run says of the machine it ran on."""

import mmap
import sys
from types import SimpleNamespace

import pytest
import torch

from forgetting.pipeline.run.environment import (
    PACKAGES,
    environment,
    held_memory,
    peak_memory,
    reset_peak_memory,
)

MIB = 2**20


def test_the_versions_and_threads_that_numbers_depend_on_are_named() -> None:
    found = environment("cpu", "float32")
    assert found["torch"] == torch.__version__
    assert (found["device"], found["threads"], found["processes"]) == ("cpu", torch.get_num_threads(), 1)
    assert {"python", "system", "processor", *PACKAGES} <= found.keys()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux starts a new count")
def test_the_peak_counts_what_was_freed_and_what_is_held_does_not() -> None:
    reset_peak_memory()
    before = held_memory()
    block = mmap.mmap(-1, 64 * MIB)  # not from an allocator, which may have that much at hand
    for start in range(0, 64 * MIB, MIB):
        block[start : start + MIB] = b"1" * MIB
    assert held_memory() - before > 60 * MIB
    block.close()
    assert peak_memory() - before > 60 * MIB > held_memory() - before
    reset_peak_memory()
    assert peak_memory() - before < 60 * MIB


def test_on_windows_the_peak_is_that_of_the_working_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        def memory_info(self) -> SimpleNamespace:
            return SimpleNamespace(peak_wset=7 * MIB)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("forgetting.pipeline.run.environment.Path", NoFile)
    monkeypatch.setattr("psutil.Process", Process)
    assert peak_memory() == 7 * MIB


class NoFile:
    """A path below /proc where there is no /proc."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read_text(self) -> str:
        raise FileNotFoundError(self.path)
