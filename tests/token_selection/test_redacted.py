"""Scores of a redacted run hold no token on disk, and give them back to whoever has the rows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from forgetting.data.encode import Encoded
from forgetting.runs.redact import redactor_of
from forgetting.token_selection.redacted import Unsealed, redacted_part
from forgetting.token_selection.score_files import (
    Part,
    ScoredRow,
    Scores,
    part_file,
    row_bytes,
    rows_fingerprint,
    write_part,
)

WHOSE = dict.fromkeys(("model", "reference", "tokenizer", "data"), "a" * 16)


def row(number: int, rng: random.Random) -> Encoded:
    ids = tuple(rng.randrange(1000, 30_000) for _ in range(rng.randint(2, 6)))
    return Encoded(f"guest-{number}", ids, (0.0, *(rng.choice((0.0, 1.0, -0.5)) for _ in ids[1:])))


def part_of(rows: list[Encoded], rng: random.Random) -> Part:
    counts = np.array([encoded.supervised for encoded in rows], dtype=np.int64)
    ids = np.array([i for encoded in rows for i in encoded.target_ids], dtype=np.int32)
    base, reference = (np.array([rng.uniform(-9, 0) for _ in ids], dtype=np.float32) for _ in range(2))
    return Part([encoded.key for encoded in rows], counts, ids, base, reference)


def plain(scores: Scores) -> list[tuple[object, ...]]:
    def values(one: ScoredRow) -> tuple[object, ...]:
        return one.key, one.target_ids.tolist(), one.base_logp_N.tolist(), one.reference_logp_N.tolist()

    return [values(one) for one in scores]


def test_the_files_hold_no_token_and_the_rows_give_them_back(tmp_path: Path) -> None:
    rng = random.Random(3)
    rows = [row(i, rng) for i in range(11)]
    redactor = redactor_of(tmp_path / "output")
    for name in ("open", "sealed"):
        (tmp_path / name).mkdir()
    for number, some in enumerate((rows[:4], rows[4:5], rows[5:])):
        part = part_of(some, rng)
        mark = rows_fingerprint(some)
        write_part(part_file(tmp_path / "open", number), part, mark)
        write_part(part_file(tmp_path / "sealed", number), redacted_part(part, redactor), mark)
    counts = {"rows": 11, "tokens": sum(encoded.supervised for encoded in rows), "seconds": 0.0}
    for name in ("open", "sealed"):
        (tmp_path / name / "scores.json").write_text(json.dumps({"format": 1, **WHOSE, **counts}))
    assert counts["tokens"] > 11, "the test must be able to fail"

    hidden = plain(Scores(tmp_path / "sealed"))
    assert [one[0] for one in hidden] == [redactor.id(encoded.key) for encoded in rows]
    assert all(not any(one[1]) for one in hidden)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "sealed").iterdir())
    assert b"guest" not in stored and all(row_bytes(encoded) not in stored for encoded in rows)
    assert plain(Unsealed(tmp_path / "sealed", rows)) == plain(Scores(tmp_path / "open"))
