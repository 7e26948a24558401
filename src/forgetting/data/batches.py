"""Encoded examples → batches. The only place that shifts targets and pads rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from forgetting.core.batch import Batch, RoleSpan
from forgetting.data.encode import Encoded


def collate(rows: Mapping[str, Sequence[tuple[int, Encoded]]], *, pad_id: int) -> Batch:
    """One batch of several roles, one row per example, right-padded; each role's rows stand together.

    Args:
        rows: by role, (index in the role's data, encoded example).
        pad_id: any id of the vocabulary: padding is known by length, never by id.
    """
    flat = [(role, index, encoded) for role, members in rows.items() for index, encoded in members]
    longest = max(len(e.ids) for _, _, e in flat)
    shape = (len(flat), longest)
    input_ids, segments = np.full(shape, pad_id, dtype=np.int64), np.full(shape, -1, dtype=np.int64)
    sources, targets, weights, sequences = [], [], [], []
    for row, (_, _, encoded) in enumerate(flat):
        ids, token_weights = np.asarray(encoded.ids), np.asarray(encoded.weights, dtype=np.float32)
        input_ids[row, : len(ids)] = ids
        segments[row, : len(ids)] = row
        supervised = np.flatnonzero(token_weights)
        sources.append(row * longest + supervised - 1)
        targets.append(ids[supervised])
        weights.append(token_weights[supervised])
        sequences.append(np.full(len(supervised), row))
    return Batch(
        input_ids_BT=torch.from_numpy(input_ids),
        attention_mask_BT=torch.from_numpy((segments >= 0).astype(np.int64)),
        segment_ids_BT=torch.from_numpy(segments),
        sources_N=torch.from_numpy(np.concatenate(sources)),
        targets_N=torch.from_numpy(np.concatenate(targets)),
        weights_N=torch.from_numpy(np.concatenate(weights)),
        sequences_N=torch.from_numpy(np.concatenate(sequences)),
        keys_S=tuple(e.key for _, _, e in flat),
        indices_S=tuple(index for _, index, _ in flat),
        roles=_spans(rows),
    )


def _spans(rows: Mapping[str, Sequence[tuple[int, Encoded]]]) -> dict[str, RoleSpan]:
    spans: dict[str, RoleSpan] = {}
    token = row = 0
    for role, members in rows.items():
        tokens = sum(e.supervised for _, e in members)
        if members:
            here = slice(row, row + len(members))
            spans[role] = RoleSpan(slice(token, token + tokens), here, here)
        token, row = token + tokens, row + len(members)
    return spans
