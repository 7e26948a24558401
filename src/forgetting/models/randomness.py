"""Random numbers drawn from a seed of their own, so that whatever is drawn elsewhere stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, torch draws from `seed` on the processor and on `device`; afterwards it draws on as if nothing happened.

    Args:
        seed: 64 bits at most.
        device: where the model is.
    """
    place = torch.device(device)
    devices = [] if place.type == "cpu" else [place.index or 0]
    with torch.random.fork_rng(devices=devices, device_type="cuda" if place.type == "cpu" else place.type):
        torch.manual_seed(seed)
        yield
