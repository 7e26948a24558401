"""Encoded examples → batches. The only place that shifts targets and fills rows."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from forgetting.core.batch import Batch, RoleSpan
from forgetting.data.encode import Encoded

Rows = Mapping[str, Sequence[tuple[int, Encoded]]]
"""By role, (index in the role's data, encoded example)."""


def collate(rows: Rows, *, pad_id: int, packed: bool = False) -> Batch:
    """One batch of several roles, its rows right-padded to the longest example; each role's rows are adjacent.

    Args:
        rows: by role, (index in the role's data, encoded example).
        pad_id: any id of the vocabulary: padding is known by place, never by id.
        packed: examples of a role share rows; otherwise each has its own.
    """
    places, spans = _places(rows, packed)
    flat = [(index, encoded) for members in rows.values() for index, encoded in members]
    longest = max(len(e.ids) for _, e in flat)
    shape = (max(row for row, _ in places) + 1, longest)
    input_ids, segments = np.full(shape, pad_id, dtype=np.int64), np.full(shape, -1, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    sources, targets, weights, sequences, popularity = [], [], [], [], []
    for sequence, ((row, start), (_, encoded)) in enumerate(zip(places, flat, strict=True)):
        ids, token_weights = np.asarray(encoded.ids), np.asarray(encoded.weights, dtype=np.float32)
        here = slice(start, start + len(ids))
        input_ids[row, here] = ids
        segments[row, here] = sequence
        positions[row, here] = np.arange(len(ids))
        supervised = np.flatnonzero(token_weights)
        sources.append(row * longest + start + supervised - 1)
        targets.append(ids[supervised])
        weights.append(token_weights[supervised])
        sequences.append(np.full(len(supervised), sequence))
        known = np.nan if encoded.popularity is None else encoded.popularity
        popularity.append(np.full(len(supervised), known, dtype=np.float32))
    return Batch(
        input_ids_BT=torch.from_numpy(input_ids),
        attention_mask_BT=torch.from_numpy((segments >= 0).astype(np.int64)),
        segment_ids_BT=torch.from_numpy(segments),
        sources_N=torch.from_numpy(np.concatenate(sources)),
        targets_N=torch.from_numpy(np.concatenate(targets)),
        weights_N=torch.from_numpy(np.concatenate(weights)),
        sequences_N=torch.from_numpy(np.concatenate(sequences)),
        keys_S=tuple(e.key for _, e in flat),
        indices_S=tuple(index for index, _ in flat),
        roles=spans,
        popularity_N=torch.from_numpy(np.concatenate(popularity))
        if any(e.popularity is not None for _, e in flat)
        else None,
        position_ids_BT=torch.from_numpy(positions) if packed else None,
    )


BATCH_TOKENS = 256
"""Padded tokens of one batch of `batches_by_length`: enough where every example is differentiated by itself."""


def batches_by_length(
    members: Sequence[Encoded], role: str, pad_id: int, *, tokens: int = BATCH_TOKENS
) -> Iterator[Batch]:
    """Every example once, one per row, rows of similar length together: `tokens` padded tokens, or a single row."""
    rows: list[tuple[int, Encoded]] = []
    for row in sorted(enumerate(members), key=lambda row: len(row[1].ids)):
        if rows and (len(rows) + 1) * len(row[1].ids) > tokens:
            yield collate({role: rows}, pad_id=pad_id)
            rows = []
        rows.append(row)
    yield collate({role: rows}, pad_id=pad_id)


def packed_tokens(lengths: Sequence[Sequence[int]]) -> int:
    """Tokens of a packed batch, padding included: its rows times the longest example.

    Args:
        lengths: the examples' lengths, role by role.
    """
    longest = max(max(role, default=0) for role in lengths)
    return longest * sum(1 + max((row for row, _ in _packed(role, longest)), default=-1) for role in lengths)


def _places(rows: Rows, packed: bool) -> tuple[list[tuple[int, int]], dict[str, RoleSpan]]:
    """Row and first column of every sequence, and the place of each role."""
    longest = max(len(e.ids) for members in rows.values() for _, e in members)
    places: list[tuple[int, int]] = []
    spans: dict[str, RoleSpan] = {}
    token = row = 0
    for role, members in rows.items():
        if not members:
            continue
        own = _packed([len(e.ids) for _, e in members], longest) if packed else [(i, 0) for i in range(len(members))]
        tokens, used = sum(e.supervised for _, e in members), 1 + max(row for row, _ in own)
        sequences = slice(len(places), len(places) + len(members))
        spans[role] = RoleSpan(slice(token, token + tokens), sequences, slice(row, row + used))
        places += [(row + its, start) for its, start in own]
        token, row = token + tokens, row + used
    return places, spans


def _packed(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Row and first column of each example in rows of `room` tokens: longest first, each where least room is left."""
    places = [(0, 0)] * len(lengths)
    free: list[tuple[int, int]] = []  # of every row: tokens left, row; sorted
    for example in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fits = bisect_left(free, (lengths[example], 0))
        left, row = free.pop(fits) if fits < len(free) else (room, len(free))
        places[example] = (row, room - left)
        insort(free, (left - lengths[example], row))
    return places
