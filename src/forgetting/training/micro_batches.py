"""The micro-batches of a step: its examples ordered by length and cut so that little is padded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch

from forgetting.core.batch import Batch
from forgetting.data.batches import collate, packed_tokens
from forgetting.data.encode import Encoded
from forgetting.data.plan import split

MICRO_BATCH_TOKENS = 16_384
"""Tokens of one forward at most, padding included, if the recipe gives no micro-batch size."""

Rows = Sequence[tuple[str, int]]
"""Role and index of examples that stay together."""


def pass_tokens(device: torch.device) -> int:
    """How many tokens cost as much as one more forward and backward pass on this kind of device.

    On a processor 42 to 100 were measured for models of 1 to 34 million weights (bench/README.md). An accelerator
    waits for the start of its kernels instead; 1,024 is an estimate.
    """
    return 64 if device.type == "cpu" else 1_024


class MicroBatches:
    """Cuts steps into micro-batches.

    Args:
        data: encoded examples by role.
        size: examples of a role per forward; None: as few padded tokens and as few forwards as pay.
        partners: the partner of each role that has one; a pair stays together.
        pad_id: the id that pads rows.
        packed: examples of a role share rows.
        pass_tokens: tokens that cost as much as one more forward.
        processes: each gets the same number of micro-batches, as far as there are enough examples.

    Attributes:
        tokens: of one forward at most, padding included, without a size; a single example may have more.
    """

    def __init__(
        self,
        data: Mapping[str, Sequence[Encoded]],
        size: int | None,
        *,
        partners: Mapping[str, str],
        pad_id: int,
        packed: bool,
        pass_tokens: int,
        processes: int = 1,
    ) -> None:
        self.data, self.size, self.partners = data, size, partners
        self.pad_id, self.packed, self.pass_tokens, self.processes = pad_id, packed, pass_tokens, processes
        self.tokens = MICRO_BATCH_TOKENS

    def of(self, picks: Mapping[str, list[int]]) -> list[Batch]:
        """The micro-batches of a step with these examples, indices by role; in one of them they keep their order."""
        return [
            collate(
                {role: [(i, self.data[role][i]) for i in members] for role, members in part.items()},
                pad_id=self.pad_id,
                packed=self.packed,
            )
            for part in self._parts(picks)
        ]

    def room(self) -> dict[str, int | None]:
        """How much a forward may hold: `size` and `tokens`, for a checkpoint."""
        return {"size": self.size, "tokens": self.tokens}

    def restore(self, room: Mapping[str, int | None]) -> None:
        """Sets what `room` gave; nothing where a checkpoint has none."""
        self.size, self.tokens = room.get("size", self.size), room.get("tokens") or self.tokens

    def __str__(self) -> str:
        held = f"{self.size} examples of a role" if self.size is not None else f"{self.tokens:,} tokens"
        return f"micro-batches of at most {held}"

    def halve(self, batches: Sequence[Batch]) -> bool:
        """Allows half of what these micro-batches of a step hold; False if they cannot be smaller."""
        divisible = [b for b in batches if any(len(b.indices_S[span.sequences]) > 1 for span in b.roles.values())]
        if not divisible:
            return False
        if self.size is not None:
            self.size = -(-max(len(b.indices_S[span.sequences]) for b in divisible for span in b.roles.values()) // 2)
        else:
            self.tokens = max(b.input_ids_BT.numel() for b in divisible) // 2
        return True

    def _parts(self, picks: Mapping[str, list[int]]) -> list[Mapping[str, list[int]]]:
        most = max(map(len, picks.values()))
        rows = self._by_length(picks)
        if self.packed:
            parts = self._packed_parts(picks, most) if self.size is None else -(-most // self.size)
        elif self.size is not None:
            parts = -(-most // self.size)
        else:
            bounds = self._cheapest(rows)
            if self.processes == 1 and len(bounds) > 2:
                return [_by_role(rows[a:b], picks) for a, b in pairwise(bounds)]
            parts = len(bounds) - 1
        parts = min(-(-parts // self.processes) * self.processes, most)
        if parts == 1:
            return [picks]
        # Each part has a share of every role: where weights are sharded, all processes run the same forwards.
        return [*split(picks if self.packed else _by_role(rows, picks), parts)]

    def _cheapest(self, rows: Sequence[Rows]) -> list[int]:
        """The bounds of the parts with the least padding and the fewest passes."""
        longest, counts = [self._longest(r) for r in rows], [len(r) for r in rows]
        return [0, *cheapest_cuts(longest, counts, self.pass_tokens, self.tokens), len(rows)]

    def _by_length(self, picks: Mapping[str, list[int]]) -> list[Rows]:
        """The step's examples, pairs as one, the shortest first."""
        partners = {role: partner for role, partner in self.partners.items() if role in picks and partner in picks}
        rows = [
            [(r, i) for r in (role, *([partners[role]] if role in partners else ()))]
            for role, members in picks.items()
            if role not in partners.values()
            for i in members
        ]
        return sorted(rows, key=self._longest)

    def _longest(self, rows: Rows) -> int:
        return max(len(self.data[role][i].ids) for role, i in rows)

    def _packed_parts(self, picks: Mapping[str, list[int]], most: int) -> int:
        """The least number of parts whose shared rows fit. The size of a part is found by packing it."""

        def tokens(part: Mapping[str, list[int]]) -> int:
            return packed_tokens([[len(self.data[role][i].ids) for i in members] for role, members in part.items()])

        parts = min(most, -(-tokens(picks) // self.tokens))
        while parts < most and max(map(tokens, split(picks, parts))) > self.tokens:
            parts += 1
        return parts


def cheapest_cuts(longest: Sequence[int], counts: Sequence[int], pass_tokens: int, most: int) -> list[int]:
    """Where to cut rows, sorted by length, so that padded tokens and passes together cost least.

    A part costs `pass_tokens` and its rows times its longest one, which is `most` at most unless it cannot be cut.

    Args:
        longest: of each group of rows that stay together, ascending.
        counts: rows of each group.
        pass_tokens: the cost of one part beside its tokens.
        most: padded tokens of one part.

    Returns:
        The index of the first group of each part but the first one.
    """
    before = np.concatenate([[0], np.cumsum(counts)])
    best, begin = np.zeros(len(longest) + 1, dtype=np.int64), np.zeros(len(longest) + 1, dtype=np.int64)
    for stop in range(1, len(longest) + 1):
        padded = longest[stop - 1] * (before[stop] - before[:stop])
        allowed = padded <= most
        allowed[-1] = True
        cost = np.where(allowed, best[:stop] + padded + pass_tokens, np.iinfo(np.int64).max)
        begin[stop] = cost.argmin()
        best[stop] = cost[begin[stop]]
    cuts = [len(longest)]
    while begin[cuts[-1]]:
        cuts.append(int(begin[cuts[-1]]))
    return cuts[:0:-1]


def _by_role(rows: Sequence[Rows], roles: Iterable[str]) -> dict[str, list[int]]:
    """Indices by role, in the order of `roles`; without roles that have none."""
    found: dict[str, list[int]] = {role: [] for role in roles}
    for role, index in (one for some in rows for one in some):
        found[role].append(index)
    return {role: members for role, members in found.items() if members}
