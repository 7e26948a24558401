"""The order of training: which documents share a row. A model and its oracles use the same order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

ROW = 128
"""Tokens per row. Documents are never split, and each attends only to itself."""
OPEN_ROWS = 32
IGNORED = -100


def pack(lengths: Sequence[int], order: Sequence[int]) -> list[list[int]]:
    """Packs every document once, by best fit among `OPEN_ROWS` rows, with at most `ROW` tokens per row."""
    rows: list[list[int]] = []
    filling: list[tuple[int, list[int]]] = []  # room left, documents
    for document in order:
        fits = [i for i, (room, _) in enumerate(filling) if room >= lengths[document]]
        if fits:
            best = min(fits, key=lambda i: filling[i][0])
            room, row = filling[best]
            row.append(document)
            filling[best] = (room - lengths[document], row)
            continue
        filling.append((ROW - lengths[document], [document]))
        if len(filling) > OPEN_ROWS:
            fullest = min(range(len(filling)), key=lambda i: filling[i][0])
            rows.append(filling.pop(fullest)[1])
    return rows + [row for _, row in filling]


def endless_rows(lengths: Sequence[int], seed: int) -> Iterator[list[int]]:
    """Yields rows epoch after epoch, each epoch in a new order that depends only on `lengths` and `seed`."""
    rng = random.Random(seed)
    while True:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        rows = pack(lengths, order)
        rng.shuffle(rows)
        yield from rows


def lay_out(rows: Sequence[Sequence[Sequence[int]]]) -> dict[str, Tensor]:
    """Rows of token lists as inputs of a causal model: ids, labels and positions `[B, T]`, attention `[B, 1, T, T]`.

    Positions restart with each document and no token attends to another document, so that a document in a full row
    is computed as it would be alone. Labels are not shifted; no position predicts a first token or attends to
    padding.
    """
    shape = (len(rows), ROW)
    ids, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    positions, segments = torch.zeros(shape, dtype=torch.long), torch.full(shape, -1)
    for row, documents in enumerate(rows):
        start = 0
        for segment, tokens in enumerate(documents):
            span = slice(start, start + len(tokens))
            ids[row, span] = torch.tensor(tokens)
            labels[row, span] = torch.tensor([IGNORED, *tokens[1:]])
            positions[row, span] = torch.arange(len(tokens))
            segments[row, span] = segment
            start += len(tokens)
    same = segments[:, :, None] == segments[:, None, :]
    attention = (same & torch.ones(ROW, ROW, dtype=torch.bool).tril()).unsqueeze(1)
    return {"input_ids": ids, "labels": labels, "position_ids": positions, "attention_mask": attention}
