"""Token scores: log p of every supervised token under the base and under the reference, streamed to disk.

The quality of a token is the reference's gain on it (Forgetting, eqs. 4 and 5):

    Q = ℓ_base − ℓ_reference = log p_reference − log p_base

A folder of scores holds `part-000000.parquet`, … (key, target_ids, base_logp, reference_logp; rows in their order)
and, written last, `scores.json`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from forgetting.core.batch import Batch
from forgetting.core.errors import ModelError, RunError
from forgetting.core.folder import write_text
from forgetting.core.written import read_json
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.data.tokens import tokenizer_fingerprint
from forgetting.token_selection.model_view import ModelView
from forgetting.token_selection.score_files import (
    BEGUN,
    FORMAT,
    META,
    Part,
    ScoredRow,
    Scores,
    check_same,
    is_part_of,
    part_file,
    part_files,
    row_bytes,
    rows_fingerprint,
    write_part,
)
from forgetting.training.micro_batches import MICRO_BATCH_TOKENS

__all__ = [
    "ModelView",
    "ScoredRow",
    "Scores",
    "rows_fingerprint",
    "score_tokens",
    "tokenizer_fingerprint",
]

WINDOW_ROWS = 1024
"""Rows that are sorted by length together; also the number of rows in a part."""

Progress = Callable[[int, str], None]
"""Called with the rows done, their total (None: unknown), and a note."""


@dataclass(frozen=True, slots=True)
class Scorers:
    """The models that a score compares."""

    base: ModelView
    """The model before training."""
    reference: ModelView
    """The model trained on the reference data."""
    tokenizer: PreTrainedTokenizerBase
    """The tokenizer of both models and of the rows; the scores store its fingerprint."""

    def fingerprints(self) -> dict[str, str]:
        """The fingerprints that identify the scores of these models."""
        return {
            "model": self.base.fingerprint(),
            "reference": self.reference.fingerprint(),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
        }


def score_tokens(
    rows: Iterable[Encoded],
    folder: str | Path,
    scorers: Scorers,
    *,
    window: int = WINDOW_ROWS,
    batch_tokens: int = MICRO_BATCH_TOKENS,
    progress: Progress = lambda done, note: None,
    seal: Callable[[Part], Part] | None = None,
) -> Scores:
    """Scores every token of weight ≠ 0 in one pass over the rows; at most `window` of them are held in memory.

    Resumable: after a kill, a call with the same rows keeps the complete parts and writes the same bytes. A finished
    folder is only checked. A part that cannot be read is computed again.

    Args:
        rows: encoded examples; keys need not be unique.
        folder: the folder of the scores.
        scorers: the models and their tokenizer.
        window: rows that are sorted by length together, to reduce padding.
        batch_tokens: of one forward, padding included; a longer row is a separate batch.
        progress: called with the rows done after every forward.
        seal: applied to a part before it is written; it removes what would reveal the rows.

    Raises:
        RunError: the folder holds scores of another model, reference or tokenizer or of other rows, or cannot be
            written.
        ModelError: a log p is not finite; the row is named.
    """
    folder = Path(folder)
    whose = scorers.fingerprints()
    seconds = _begin(folder, whose)
    source, digest = iter(rows), hashlib.sha256()
    done = tokens = number = 0
    while members := list(islice(source, window)):
        began = time.perf_counter()
        file, identity = part_file(folder, number), rows_fingerprint(members)
        if not is_part_of(file, identity):
            tick = partial(_tick, progress, done)
            part = _scored(members, scorers, batch_tokens, tick)
            write_part(file, part if seal is None else seal(part), identity)
            seconds += time.perf_counter() - began
            write_text(folder / BEGUN, json.dumps(whose | {"seconds": seconds}))
        digest.update(b"".join(map(row_bytes, members)))
        done, number = done + len(members), number + 1
        tokens += sum(e.supervised for e in members)
        progress(done, f"{tokens:,} tokens")
        del members  # before the next ones are read
    said = {"data": digest.hexdigest()[:16], "rows": done, "tokens": tokens, "seconds": round(seconds, 3)}
    return _finish(folder, number, {"format": FORMAT, **whose, **said})


def _begin(folder: Path, whose: dict[str, str]) -> float:
    """The seconds spent on these scores in earlier calls."""
    begun = folder / BEGUN
    if (folder / META).is_file():
        known = Scores(folder).meta
    elif begun.is_file():
        known = read_json(begun.read_text())
    elif part_files(folder):
        raise RunError(f"{folder}: holds score parts of an unknown model; choose another folder")
    else:
        known = {**whose, "seconds": 0.0}
        write_text(begun, json.dumps(known))
    check_same(folder, known, whose)
    return float(known["seconds"])


def _finish(folder: Path, parts: int, meta: dict[str, Any]) -> Scores:
    more = part_files(folder)[parts:]
    if more:
        raise RunError(f"{more[0]}: the folder holds scores of more rows; score into another, or remove this one")
    write_text(folder / META, json.dumps(meta, indent=1))
    for left in (folder / BEGUN, *folder.glob(".part-*.partial")):
        left.unlink(missing_ok=True)
    return Scores(folder)


def _tick(progress: Progress, before: int, done: int) -> None:
    progress(before + done, "scoring")


def _scored(members: Sequence[Encoded], scorers: Scorers, batch_tokens: int, tick: Callable[[int], None]) -> Part:
    """The scores of some rows in their order, computed sorted by length."""
    groups = _by_length(members, batch_tokens)
    batches = [collate({"scored": [(i, members[i]) for i in group]}, pad_id=0) for group in groups]
    seen = 0

    def after(batch: Batch) -> None:
        nonlocal seen
        seen += len(batch.keys_S)
        tick(seen // 2)  # every row is seen twice

    targets = [np.asarray(e.target_ids, dtype=np.int32) for e in members]
    counts_R = np.array([len(ids) for ids in targets], dtype=np.int64)
    place_N = _places(counts_R, [i for group in groups for i in group])
    base_N, reference_N = (view.logps(batches, after)[place_N] for view in (scorers.base, scorers.reference))
    part = Part([e.key for e in members], counts_R, np.concatenate(targets), base_N, reference_N)
    if (bad := part.first_not_finite()) is not None:
        raise ModelError(
            f"row '{bad[0]}': log p of its answer token {bad[1] + 1} is not finite under the base or the reference; "
            "score in a higher precision, or leave the row out"
        )
    return part


def _by_length(members: Sequence[Encoded], batch_tokens: int) -> list[list[int]]:
    """The rows with tokens to score, longest first, in groups of at most `batch_tokens`, padding included."""
    supervised = [i for i, e in enumerate(members) if e.supervised]
    groups: list[list[int]] = []
    room = 0
    for row in sorted(supervised, key=lambda i: -len(members[i].ids)):
        if room == 0:
            groups.append([])
            room = max(1, batch_tokens // len(members[row].ids))
        groups[-1].append(row)
        room -= 1
    return groups


def _places(counts_R: NDArray[np.int64], order: Sequence[int]) -> NDArray[np.int64]:
    """The index of each token, row after row, among the tokens of the rows in `order`, `[N]`."""
    starts_R = np.zeros(len(counts_R), dtype=np.int64)
    starts_R[list(order)] = np.cumsum(counts_R[list(order)]) - counts_R[list(order)]
    before_R = np.cumsum(counts_R) - counts_R
    return np.arange(counts_R.sum()) + np.repeat(starts_R - before_R, counts_R)
