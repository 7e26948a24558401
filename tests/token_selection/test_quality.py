"""Sums and histograms of Q over parts are those of all units at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from forgetting.core.errors import DataError, RunError
from forgetting.token_selection.quality import draws, histogram, of_rows, qualities, survey_of
from tests.token_selection.test_score_files import part_of, written

ROWS = [[float(q) for q in np.random.default_rng(row).normal(0.3, 2.0, size=row % 5)] for row in range(40)]


def units(level: str) -> np.ndarray:
    """Q of all units in float64, row by row."""
    rows = [np.array(row, dtype=np.float32).astype(np.float64) for row in ROWS]
    return np.concatenate(rows) if level == "token" else np.array([row.mean() for row in rows if len(row)])


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_survey_is_that_of_all_units(tmp_path: Path, level: Literal["token", "sequence"]) -> None:
    found, q = survey_of(written(tmp_path, ROWS, size=7), level), units(level)
    assert (found.count, found.above) == (len(q), int((q > 0).sum()))
    assert (found.mean, found.std) == (pytest.approx(q.mean(), rel=1e-6), pytest.approx(q.std(), rel=1e-6))
    assert (found.least, found.greatest) == (pytest.approx(q.min(), rel=1e-6), pytest.approx(q.max(), rel=1e-6))


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_a_histogram_counts_every_unit_between_its_exact_quantiles(
    tmp_path: Path, level: Literal["token", "sequence"]
) -> None:
    scores = written(tmp_path, ROWS, size=7)
    q = np.sort(np.concatenate(list(qualities(scores, level))).astype(np.float64))
    found = histogram(scores, level, len(q), bins=9)
    low, high = q[int(np.ceil(0.005 * len(q))) - 1], q[int(np.ceil(0.995 * len(q))) - 1]
    assert (found["edges"][0], found["edges"][-1], len(found["edges"])) == (low, high, 10)
    assert (found["below"], found["above"]) == (int((q < low).sum()), int((q > high).sum()))
    assert found["counts"] == np.histogram(q, bins=np.linspace(low, high, 10))[0].tolist()
    assert sum(found["counts"]) + found["below"] + found["above"] == len(q)


def test_equal_qualities_have_edges_half_a_nat_to_either_side(tmp_path: Path) -> None:
    found = histogram(written(tmp_path, [[1.0], [1.0, 1.0]]), "token", 3, bins=2)
    assert (found["edges"], sum(found["counts"])) == ([0.5, 1.0, 1.5], 3)


def test_a_row_without_tokens_has_no_mean() -> None:
    found = of_rows(part_of("abc", [[1.0, 3.0], [], [-1.0]]), "sequence")
    assert found.tolist() == [2.0, -1.0] and found.dtype == np.float32


def test_a_score_that_is_not_finite_and_a_corpus_without_tokens_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"row 'r1': the score of its answer token 2 is not finite"):
        survey_of(written(tmp_path / "bad", [[1.0], [0.0, np.nan]]), "token")
    with pytest.raises(DataError, match="no token was scored"):
        survey_of(written(tmp_path / "none", [[], []]), "token")


def test_draws_follow_from_seed_key_and_position_alone() -> None:
    assert draws(3, "r1", 5)[:2].tolist() == draws(3, "r1", 2).tolist()
    assert draws(3, "r1", 5).tolist() != draws(4, "r1", 5).tolist() != draws(4, "r2", 5).tolist()
    many = np.concatenate([draws(0, f"r{i}", 50) for i in range(200)]) / 2**32
    assert abs(many.mean() - 0.5) < 0.01 and abs(many.var() - 1 / 12) < 0.003
