"""The micro-batches of a step: its examples in as few batches as their tokens allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgetting.core.batch import Batch
from forgetting.data.batches import collate, packed_tokens
from forgetting.data.encode import Encoded
from forgetting.data.plan import split

MICRO_BATCH_TOKENS = 16_384
"""Tokens of one forward, padding included, if the recipe gives no micro-batch size."""


def micro_batches(
    picks: Mapping[str, list[int]],
    data: Mapping[str, Sequence[Encoded]],
    size: int | None,
    *,
    pad_id: int,
    packed: bool,
    processes: int = 1,
) -> list[Batch]:
    """The step's micro-batches.

    Args:
        picks: the step's examples, indices by role.
        data: encoded examples by role.
        size: examples of a role per forward; None: as many as `MICRO_BATCH_TOKENS` allow, at least one.
        pad_id: the id that pads rows.
        packed: examples of a role share rows.
        processes: each gets the same number of micro-batches, as far as there are enough examples.
    """
    parts = _parts(picks, data, size, packed)
    parts = min(-(-parts // processes) * processes, max(map(len, picks.values())))
    return [
        collate({r: [(i, data[r][i]) for i in members] for r, members in part.items()}, pad_id=pad_id, packed=packed)
        for part in split(picks, parts)
    ]


def _parts(
    picks: Mapping[str, list[int]], data: Mapping[str, Sequence[Encoded]], size: int | None, packed: bool
) -> int:
    """The number of parts of the step. The size of a packed part is found by packing it."""
    most = max(map(len, picks.values()))
    if size is not None:
        return -(-most // size)

    def tokens(part: Mapping[str, list[int]]) -> int:
        lengths = [[len(data[role][i].ids) for i in members] for role, members in part.items()]
        return packed_tokens(lengths) if packed else max(map(max, lengths)) * sum(map(len, lengths))

    parts = min(most, -(-tokens(picks) // MICRO_BATCH_TOKENS))
    while packed and parts < most and max(map(tokens, split(picks, parts))) > MICRO_BATCH_TOKENS:
        parts += 1
    return parts
