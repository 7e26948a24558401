"""Which examples each optimiser step sees: a function of the seed and the step, so that a resume needs no state."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from forgetting.core.errors import DataError


@lru_cache(maxsize=64)
def _order(seed: int, role: str, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, zlib.crc32(role.encode()), epoch]).permutation(size)


@dataclass(frozen=True)
class StepPlan:
    """The order of the data. The first role sets the epochs; the others are drawn beside it, one for one, and go round.

    So the pairing of forget and retain examples is fixed per step, whatever the micro-batches. A role's partner gives
    the same indices as the role. Where the first role has fewer examples than a batch, the others still fill one, as
    far as they have so many, so that a single document is not weighed against a single other one.

    A role beside the first whose examples come from several sources takes one of each in turn: thirty records to keep
    count as much as a hundred thousand passages, since each source is what should stay.
    """

    sizes: Mapping[str, int]
    """Number of encoded examples by role; the first role is the one whose epochs count."""
    batch_size: int
    """Examples of the first role per optimiser step; the others give as many (see above)."""
    seed: int
    partners: Mapping[str, str] = field(default_factory=dict)
    """The partner of each role that has one: example i of both belong together."""
    turns: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    """By role the indices of each source's examples; a role without has one source."""

    def __post_init__(self) -> None:
        for role, size in self.sizes.items():
            if size == 0:
                raise DataError(f"the {role} set is empty; give at least one example")
        for role, partner in self.partners.items():
            if self.sizes[role] != self.sizes[partner]:
                raise DataError(
                    f"{self.sizes[role]} {role} and {self.sizes[partner]} {partner} examples cannot be paired; "
                    "give one for each"
                )

    @property
    def first(self) -> str:
        """The role whose epochs count."""
        return next(iter(self.sizes))

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which every example of the first role is seen once."""
        return -(-self.sizes[self.first] // self.batch_size)

    def at(self, step: int) -> dict[str, list[int]]:
        """Indices of each role's examples at `step` (0-based)."""
        size = self.sizes[self.first]
        epoch, within = divmod(step, self.steps_per_epoch)
        begin = within * self.batch_size
        own = _order(self.seed, self.first, epoch, size)[begin : begin + self.batch_size]
        leads = {partner: role for role, partner in self.partners.items()}
        picks: dict[str, list[int]] = {}
        for role in self.sizes:
            if role == self.first:
                picks[role] = own.tolist()
            elif role in leads:
                picks[role] = picks[leads[role]]
            else:
                picks[role] = self._beside(role, step, epoch * size + begin, len(own))
        return picks

    def _beside(self, role: str, step: int, drawn: int, own: int) -> list[int]:
        """The examples of another role beside `own` of the first, of which `drawn` were seen before."""
        if self.sizes[self.first] < self.batch_size:
            own = max(own, min(self.batch_size, self.sizes[role]))
            drawn = step * own
        return [self._pick(role, position) for position in range(drawn, drawn + own)]

    def _pick(self, role: str, position: int) -> int:
        sources = self.turns.get(role, ())
        if len(sources) < 2:
            around, index = divmod(position, self.sizes[role])
            return int(_order(self.seed, role, around, self.sizes[role])[index])
        drawn, turn = divmod(position, len(sources))
        around, index = divmod(drawn, len(sources[turn]))
        return sources[turn][int(_order(self.seed, f"{role} {turn}", around, len(sources[turn]))[index])]


def split(picks: Mapping[str, list[int]], parts: int) -> list[dict[str, list[int]]]:
    """The step's examples in `parts` micro-batches, every role spread over them as evenly as possible.

    Roles with as many examples are cut alike, so pairs stay together.
    """
    micro: list[dict[str, list[int]]] = [{} for _ in range(parts)]
    for role, indices in picks.items():
        for part, members in zip(micro, np.array_split(np.asarray(indices, dtype=np.int64), parts), strict=True):
            if len(members):
                part[role] = members.tolist()
    return [part for part in micro if part]
