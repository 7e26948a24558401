"""The environment of a run, and its peak memory."""

from __future__ import annotations

import platform
import re
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from forgetting.core.processes import in_all

PACKAGES = ("forgetting", "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")


def environment(device: str, dtype: str) -> dict[str, object]:
    """Versions, machine, threads and precision: what a number may depend on apart from the recipe."""
    found: dict[str, object] = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_available() else None
    found |= {"device": gpu or device, "processor": platform.machine(), "threads": torch.get_num_threads()}
    return {**found, "processes": in_all(), "dtype": dtype}


def reset_peak_memory() -> None:
    """Resets `peak_memory`, if the system supports it (Linux, CUDA)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def held_memory() -> int:
    """The memory held now, in bytes: of the accelerator if one is used, else of the process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.memory_allocated()
    return int(psutil.Process().memory_info().rss)


def peak_memory() -> int:
    """The most memory held since the last reset, in bytes: of the accelerator if one is used, else of the process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # only on Unix

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
