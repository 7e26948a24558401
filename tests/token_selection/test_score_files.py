"""A folder of scores is read as it was written, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.errors import RunError
from forgetting.data.encode import Encoded
from forgetting.token_selection.score_files import Part, Scores, check_same, part_file, rows_fingerprint, write_part

WHOSE = {"model": "a" * 16, "reference": "b" * 16, "tokenizer": "c" * 16, "data": "d" * 16}


def part_of(keys: Sequence[str], qualities: Sequence[Sequence[float]]) -> Part:
    """Scores with these qualities, of a base that gives every token log p = 0."""
    reference = np.array([q for row in qualities for q in row], dtype=np.float32)
    counts = np.array([len(row) for row in qualities], dtype=np.int64)
    return Part(keys, counts, np.arange(len(reference), dtype=np.int32), np.zeros_like(reference), reference)


def written(folder: Path, qualities: Sequence[Sequence[float]], *, size: int = 3) -> Scores:
    """A finished folder of scores with these qualities, `size` rows to a part."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(qualities), size)):
        rows = qualities[start : start + size]
        part = part_of([f"r{start + i}" for i in range(len(rows))], rows)
        write_part(part_file(folder, number), part, rows_fingerprint([]))
    counts = {"rows": len(qualities), "tokens": sum(map(len, qualities)), "seconds": 1.5}
    (folder / "scores.json").write_text(json.dumps({"format": 1, **WHOSE, **counts}))
    return Scores(folder)


def test_rows_are_read_in_the_order_of_their_parts(tmp_path: Path) -> None:
    qualities = [[0.5, -1.0], [], [2.0], [-0.25, 0.75, 1.0], [3.0], [-2.0], [0.0]]
    scores = written(tmp_path, qualities)
    assert (scores.rows, scores.tokens) == (7, 9) and scores.meta["reference"] == "b" * 16
    for _ in range(2):
        rows = list(scores)
        assert [row.key for row in rows] == [f"r{i}" for i in range(7)]
        assert [row.quality.tolist() for row in rows] == qualities
        assert rows[3].target_ids.tolist() == [0, 1, 2] and rows[3].target_ids.dtype == np.int32
    assert [len(part.keys) for part in scores.parts()] == [3, 3, 1]


def test_quality_is_what_the_reference_gained() -> None:
    base, reference = np.array([-3.0, -0.5], dtype=np.float32), np.array([-1.0, -2.0], dtype=np.float32)
    (row,) = Part(["a"], np.array([2]), np.array([5, 6], dtype=np.int32), base, reference)
    assert row.quality.tolist() == [2.0, -1.5] and row.quality.dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_quality_that_is_not_finite_is_found(bad: float) -> None:
    qualities = [[], [1.0], [1.0, bad, bad], [], [bad]]
    assert part_of("abcde", qualities).first_not_finite() == ("c", 1)
    assert part_of("ab", [[1.0], [-1.0, 1e30]]).first_not_finite() is None


def test_both_fingerprints_are_named_where_they_differ(tmp_path: Path) -> None:
    scores = written(tmp_path, [[1.0]])
    check_same(scores.folder, scores.meta, WHOSE)
    for what in WHOSE:
        with pytest.raises(
            RunError, match=rf"scores of another {what} \({WHOSE[what]} there, {'e' * 16} here\); score"
        ):
            check_same(scores.folder, scores.meta, {**WHOSE, what: "e" * 16})
    with pytest.raises(RunError, match=r"another tokenizer \(.*\) and another data \("):
        check_same(scores.folder, scores.meta, {**WHOSE, "tokenizer": "e" * 16, "data": "f" * 16})


def test_unfinished_missing_and_damaged_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the scores do not exist; score first"):
        Scores(tmp_path / "nowhere")
    file = tmp_path / "scores.json"
    written(tmp_path, [[1.0], [2.0], [3.0], [4.0]])
    said = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in said.items() if k != "data"}))
    with pytest.raises(RunError, match=r"scores.json: lacks data; remove the folder"):
        Scores(tmp_path)
    file.write_text(json.dumps(said | {"format": 2}))
    with pytest.raises(RunError, match="has format 2, not 1"):
        Scores(tmp_path)
    file.write_text("{")
    with pytest.raises(RunError, match=r"scores.json: cannot be read"):
        Scores(tmp_path)
    file.unlink()
    with pytest.raises(RunError, match="the scores are not finished; score again to resume"):
        Scores(tmp_path)


def test_a_part_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    written(tmp_path, [[1.0], [2.0], [3.0], [4.0]])
    part_file(tmp_path, 0).write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"part-000000.parquet: cannot be read \(.*\); remove it and score again"):
        Scores(tmp_path)
    part_file(tmp_path, 0).unlink()
    with pytest.raises(RunError, match=r"its parts hold 1 rows, but scores.json says 4"):
        Scores(tmp_path)


def test_rows_are_known_by_key_ids_and_what_is_scored() -> None:
    row = Encoded("a", (1, 2, 3), (0.0, 1.0, 1.0))
    same = Encoded("a", (1, 2, 3), (0.0, -0.5, 2.0))
    others = [
        Encoded("b", (1, 2, 3), (0.0, 1.0, 1.0)),
        Encoded("a", (1, 4, 3), (0.0, 1.0, 1.0)),
        Encoded("a", (1, 2, 3), (0.0, 0.0, 1.0)),
    ]
    assert rows_fingerprint(iter([row])) == rows_fingerprint([same])
    assert len({rows_fingerprint(rows) for rows in ([], [row], [row, row], *([o] for o in others))}) == 6


def test_one_bit_of_a_stored_score_that_changed_is_noticed(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=256).astype(np.float32)
    scores = written(tmp_path, [values.tolist()])
    file = part_file(tmp_path, 0)
    content = bytearray(file.read_bytes())
    content[content.index(values[100].tobytes())] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(RunError, match=r"part-000000\.parquet: cannot be read .*; remove it and score again"):
        list(scores)
