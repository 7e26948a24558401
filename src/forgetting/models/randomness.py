"""Random numbers from a separate seed, without effect on other random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, torch draws from `seed` on the CPU and on `device`; afterwards the previous random state is restored.

    Args:
        seed: 64 bits at most.
        device: where the model is: a processor or a CUDA device.
    """
    generators = [torch.default_generator]
    place = torch.device(device)
    if place.type == "cuda":
        torch.cuda.init()
        generators.append(torch.cuda.default_generators[place.index or 0])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:  # not torch.manual_seed, which seeds all devices
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
