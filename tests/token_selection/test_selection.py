"""Positive, negative and ignored tokens are those that sorting the whole corpus gives, ties and all."""

from __future__ import annotations

import math
import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.data.encode import Encoded
from forgetting.token_selection.quality import draws, histogram
from forgetting.token_selection.score_files import Scores
from forgetting.token_selection.selection import Selected, Selection, select
from tests.token_selection.test_score_files import written

FEW = st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.25, 1.0])
ANY = st.floats(-20, 20, width=32)
CORPORA = st.lists(st.lists(FEW, max_size=5), min_size=1, max_size=12) | st.lists(
    st.lists(ANY, max_size=5), min_size=1, max_size=12
)
SHARES = st.sampled_from([0.05, 0.1, 0.3, 0.35, 0.5, 0.55, 0.7, 0.8, 0.95])
RANDOM = np.random.default_rng(1).normal(0.2, 1, 4000).astype(np.float32)
ROWS = [part.tolist() for part in np.array_split(RANDOM, 500)]


def signs_of(scores: Scores, selected: Selected) -> list[int]:
    return [int(sign) for row in scores for sign in selected.signs(row)]


def by_sorting(units: np.ndarray, share: float, rate: float | None) -> np.ndarray:
    """The oracle: float64 qualities of all units, sorted; shares as exact decimals."""
    n = len(units)
    threshold = np.sort(units)[::-1][math.ceil(Fraction(str(share)) * n) - 1]
    signs = np.where(units >= threshold, 1, -1)
    if rate is not None:
        count = math.floor(Fraction(str(rate)) * n)
        lowest = np.sort(units)[:count]
        signs[(signs < 0) & ~np.isin(units, lowest)] = 0
    return signs


@settings(deadline=None, max_examples=60)
@given(CORPORA, SHARES, st.none() | st.sampled_from([0.0, 0.05, 0.2, 0.45]), st.sampled_from(["token", "sequence"]))
def test_signs_are_those_of_a_sorted_corpus(
    qualities: list[list[float]], share: float, rate: float | None, level: Any
) -> None:
    if rate is not None and Fraction(str(rate)) > 1 - Fraction(str(share)):
        rate = None
    rows = [np.array(q, dtype=np.float64) for q in qualities]
    per_row = [q if level == "token" else np.float64([np.float32(q.mean())] if len(q) else []) for q in rows]
    units = np.concatenate(per_row)
    with tempfile.TemporaryDirectory() as folder:
        scores = written(Path(folder), qualities)
        if not len(units):
            with pytest.raises(DataError, match="no token was scored"):
                select(scores, Selection(positives=share, level=level), seed=0)
            return
        expected = by_sorting(units, share, rate)
        if (units >= units[expected > 0].min()).all():
            with pytest.raises(DataError, match="nothing is left to forget"):
                select(scores, Selection(positives=share, level=level, forget_rate=rate), seed=0)
            return
        selected = select(scores, Selection(positives=share, level=level, forget_rate=rate), seed=0)
        found = signs_of(scores, selected)
    if level == "sequence":
        repeats = [len(q) for q in qualities if q]
        expected = np.repeat(expected, repeats)
    assert found == expected.tolist()
    assert selected.threshold == units[units >= selected.threshold].min()
    assert selected.ties == (units == selected.threshold).sum()
    counts = [(expected == sign).sum() for sign in (1, -1, 0)]
    assert [selected.positive, selected.negative, selected.ignored] == counts
    assert selected.tokens == len(found) and selected.rows == len(qualities)
    assert selected.survey.mean == pytest.approx(units.mean(), abs=1e-9)
    assert selected.survey.std == pytest.approx(units.std(), abs=1e-6)
    assert selected.share_above_zero == (units > 0).mean()
    assert selected.share_positive == counts[0] / len(found)


def test_the_share_is_taken_as_it_is_written(tmp_path: Path) -> None:
    scores = written(tmp_path, [[float(i) for i in range(100)]])
    for share, count in (
        (0.55, 55),
        (0.07, 7),
        (0.29, 29),
        (0.001, 1),
        (0.999, 100),
    ):  # 0.55·100 > 55 in floating point
        if count == 100:
            with pytest.raises(
                DataError, match=r"the threshold is the lowest quality \(0 nats, 1 times\); write fewer"
            ):
                select(scores, Selection(positives=share), seed=0)
        else:
            assert select(scores, Selection(positives=share), seed=0).positive == count


def test_ties_at_the_threshold_are_positive_counted_and_said(tmp_path: Path) -> None:
    scores = written(tmp_path, [[-1.0, 0.5, 0.5], [0.5, 0.5, -2.0], [0.0], [1.0, 2.0, -0.0]])
    selected = select(scores, Selection(positives=0.3), seed=0)
    assert (selected.threshold, selected.ties, selected.positive) == (0.5, 4, 6)
    assert selected.notes == ("4 tokens tie at the threshold and are positive: 60.0% are, but 30.0% were requested",)
    zeros = select(scores, Selection(positives=0.7), seed=0)  # the seventh largest is a zero, of either sign
    assert (zeros.threshold, zeros.ties, zeros.positive, zeros.negative) == (0.0, 2, 8, 2)


def test_zero_takes_what_is_above_zero_and_warns(tmp_path: Path) -> None:
    scores = written(tmp_path, [[-1.0, 0.0, -0.0], [1e-45, 2.0], [3.0]])
    selected = select(scores, Selection(positives="zero"), seed=0)
    assert signs_of(scores, selected) == [-1, -1, -1, 1, 1, 1] and selected.share is None
    assert selected.share_above_zero == 0.5
    (note,) = selected.notes
    assert "50.0% of tokens with a quality above 0" in note and "harmful" in note and "0.7 or auto" in note


@pytest.mark.parametrize(
    ("above", "count", "share"),
    [(67, 100, 0.7), (70, 100, 0.7), (701, 1000, 0.75), (1, 1000, 0.05), (19, 20, 0.95), (3, 60, 0.05), (7, 20, 0.35)],
)
def test_auto_rounds_the_share_above_zero_up_to_the_next_twentieth(
    above: int, count: int, share: float, tmp_path: Path
) -> None:
    values = [1.0 + i for i in range(above)] + [-1.0 - i for i in range(count - above)]
    selected = select(written(tmp_path, [values]), Selection(positives="auto"), seed=0)
    assert selected.share == share and selected.positive == math.ceil(Fraction(str(share)) * count)


@pytest.mark.parametrize(
    ("values", "positives", "message"),
    [
        ([0.5] * 4, 0.7, r"all have the same quality \(0.5 nats\); is the reference the base itself\?"),
        ([0.0, -0.0], "auto", "the same quality"),
        ([-1.0, -2.0, 0.0], "auto", r"positives is auto, but nothing has a quality above 0: .*; write a share"),
        ([-1.0, -2.0, 0.0], "zero", "positives is zero, but nothing has a quality above 0"),
        (
            [1.0] * 20 + [2.0],
            "auto",
            r"positives is auto, but 100.0% have a quality above 0, .*; write a share such as 0.9",
        ),
        ([1.0, 2.0], "zero", r"the lowest quality is 1, above 0; write positives as a share"),
        (
            [-1.0, -1.0, -1.0, 2.0],
            0.7,
            r"the threshold is the lowest quality \(-1 nats, 3 times\); write fewer positives",
        ),
    ],
)
def test_nothing_to_forget_or_to_learn_is_an_error_that_says_why(
    values: list[float], positives: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        select(written(tmp_path, [values]), Selection(positives=positives), seed=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_names_its_row(bad: float, tmp_path: Path) -> None:
    scores = written(tmp_path, [[1.0, 2.0], [0.5], [-1.0], [0.0, bad], [2.0]])
    with pytest.raises(RunError, match="row 'r3': the score of its answer token 2 is not finite"):
        select(scores, Selection(), seed=0)


def test_a_sequence_counts_as_the_mean_of_its_tokens_whatever_their_number(tmp_path: Path) -> None:
    scores = written(tmp_path, [[3.0, -5.0], [0.5], [], [-0.25] * 7, [4.0, -3.0, -0.4]])
    selected = select(scores, Selection(positives=0.5, level="sequence"), seed=0)
    assert [selected.signs(row).tolist() for row in scores] == [[-1, -1], [1], [], [-1] * 7, [1, 1, 1]]
    assert selected.survey.count == 4 and (selected.positive, selected.negative) == (4, 9)


def test_a_part_of_the_negative_tokens_can_be_drawn_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    selection = Selection(positives=0.5, forget_rate=0.2, forget_by="random")
    scores = written(tmp_path / "a", ROWS, size=150)
    selected = select(scores, selection, seed=3)
    assert (selected.positive, selected.negative, selected.ignored) == (2000, 800, 1200)
    signs = {row.key: selected.signs(row) for row in scores}
    forgotten = np.concatenate([row.quality[signs[row.key] < 0] for row in scores])
    assert forgotten.max() < selected.threshold
    lowest = select(scores, selection.model_copy(update={"forget_by": "lowest"}), seed=3)
    assert lowest.negative == 800 and lowest.lower is not None and forgotten.mean() > lowest.lower
    again = select(scores, selection, seed=4)
    same = np.mean([np.array_equal(again.signs(row), signs[row.key]) for row in scores])
    assert again.negative == 800 and same < 0.5
    # The same rows in other parts and another order: the same tokens.
    other = written(tmp_path / "b", ROWS, size=77)
    assert select(other, selection, seed=3).draw == selected.draw
    for row in reversed(list(other)):
        np.testing.assert_array_equal(selected.signs(row), signs[row.key])


def test_whole_sequences_are_drawn_at_their_level(tmp_path: Path) -> None:
    scores = written(tmp_path, ROWS, size=150)
    selected = select(scores, Selection(positives=0.5, forget_rate=0.2, forget_by="random", level="sequence"), seed=0)
    signs = [selected.signs(row).tolist() for row in scores]
    assert all(len(set(row)) == 1 for row in signs)
    assert [sum(row[0] == sign for row in signs) for sign in (1, -1, 0)] == [250, 100, 150]


def test_draws_are_uniform_and_of_key_and_seed() -> None:
    many = draws(0, "a", 20_000) / 2**32
    assert abs(many.mean() - 0.5) < 0.01 and abs(many.std() - 12**-0.5) < 0.01
    np.testing.assert_array_equal(draws(0, "a", 5), draws(0, "a", 20_000)[:5])
    assert len({tuple(draws(seed, key, 3)) for seed, key in ((0, "a"), (1, "a"), (0, "b"))}) == 3


@pytest.mark.parametrize("by", ["lowest", "random"])
def test_a_rate_of_nothing_ignores_and_the_whole_rest_forgets(by: Any, tmp_path: Path) -> None:
    scores = written(tmp_path, ROWS, size=150)
    nothing = select(scores, Selection(positives=0.7, forget_rate=0.0, forget_by=by), seed=0)
    assert (nothing.positive, nothing.negative, nothing.ignored) == (2800, 0, 1200)
    everything = select(scores, Selection(positives=0.7, forget_rate=0.3, forget_by=by), seed=0)
    assert (everything.positive, everything.negative, everything.ignored) == (2800, 1200, 0)


@pytest.mark.parametrize("by", ["lowest", "random"])
def test_where_ties_leave_fewer_negative_tokens_than_are_asked_for_all_are_taken(by: Any, tmp_path: Path) -> None:
    scores = written(tmp_path, [[-1.0, 0.5, 0.5, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]])
    selected = select(scores, Selection(positives=0.7, forget_rate=0.3, forget_by=by), seed=0)
    assert (selected.positive, selected.negative, selected.ignored, selected.lower_ties) == (9, 1, 0, 0)
    assert selected.notes[-1] == "forget_rate asks for 3 tokens; only 1 are negative, and all are taken"


def test_ties_at_the_lower_threshold_are_forgotten_and_counted(tmp_path: Path) -> None:
    scores = written(tmp_path, [[-2.0, -1.0, -1.0, -1.0, -0.5, 1.0, 1.5, 2.0, 2.5, 3.0]])
    selected = select(scores, Selection(positives=0.5, forget_rate=0.2), seed=0)
    assert (selected.lower, selected.lower_ties, selected.negative, selected.ignored) == (-1.0, 3, 4, 1)


def test_a_rate_above_the_negative_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"with positives 0.7 only 0.3 are negative; write at most that"):
        Selection(positives=0.7, forget_rate=0.31)
    Selection(positives=0.7, forget_rate=0.3)  # though 1 - 0.7 is below 0.3 in floating point
    scores = written(tmp_path, ROWS, size=150)
    with pytest.raises(RecipeError, match=r"forget_rate is 0.6, but with positives auto only 0.4 are negative"):
        select(scores, Selection(positives="auto", forget_rate=0.6), seed=0)


@pytest.mark.parametrize("value", [0, 1, 1.5, -0.1, math.nan])
def test_a_share_outside_0_and_1_says_what_to_write(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"write a share between 0 and 1, such as 0\.7, or auto, or zero"):
        Selection(positives=value)


@pytest.mark.parametrize(
    "keys", [{"positives": "all"}, {"level": "word"}, {"forget_rate": 1.0}, {"quantile": 0.5}, {"positives": True}]
)
def test_what_is_not_a_setting_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Selection(**keys)


def test_weights_take_the_sign_and_keep_their_size(tmp_path: Path) -> None:
    scores = written(tmp_path, [[2.0, -3.0, -1.0, 1.0, 3.0]])
    selected = select(scores, Selection(positives=0.6, forget_rate=0.2), seed=0)
    (row,) = scores
    encoded = Encoded("r0", (9, 0, 9, 1, 2, 3, 4, 9), (0.0, 0.5, 0.0, -2.0, 1.0, 1.0, 1.0, 0.0), truncated=True)
    assert selected.signs(row).dtype == np.int8
    weighted = selected.weighted(encoded, row)
    assert weighted.weights == (0.0, 0.5, 0.0, -2.0, 0.0, 1.0, 1.0, 0.0)
    assert (weighted.key, weighted.ids, weighted.truncated) == (encoded.key, encoded.ids, True)
    with pytest.raises(RunError, match="row 'r1': these scores belong to row 'r0'; score these data again"):
        selected.weighted(Encoded("r1", encoded.ids, encoded.weights), row)
    with pytest.raises(RunError, match="row 'r0': its scores belong to other tokens"):
        selected.weighted(Encoded("r0", (9, 0, 9, 1, 2, 3, 5, 9), encoded.weights), row)
    with pytest.raises(RunError, match="row 'r0': its scores belong to other tokens"):
        selected.weighted(weighted, row)  # a token that is ignored is no longer supervised


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_the_histogram_spans_exact_quantiles_and_loses_nothing(level: Any, tmp_path: Path) -> None:
    scores = written(tmp_path, ROWS, size=90)
    selected = select(scores, Selection(level=level), seed=0)
    found = histogram(scores, level, selected.survey.count)
    units = RANDOM.astype(np.float64)
    if level == "sequence":
        units = np.array([np.float32(np.mean(row)) for row in ROWS], dtype=np.float64)
    inorder, n = np.sort(units), len(units)
    edges = found["edges"]
    assert len(edges) == 61 and len(found["counts"]) == 60
    assert edges[0] == inorder[math.ceil(0.005 * n) - 1] and edges[-1] == inorder[math.ceil(0.995 * n) - 1]
    np.testing.assert_allclose(np.diff(edges), (edges[-1] - edges[0]) / 60)
    inside = [
        int(((units >= a) & ((units < b) if i < 59 else (units <= b))).sum())
        for i, (a, b) in enumerate(pairwise(edges))
    ]
    assert found["counts"] == inside
    assert found["below"] == (units < edges[0]).sum() and found["above"] == (units > edges[-1]).sum()
    assert sum(found["counts"]) + found["below"] + found["above"] == n


def test_a_histogram_of_nearly_one_value_has_width(tmp_path: Path) -> None:
    scores = written(tmp_path, [[1.0] * 999 + [-5.0] * 2 + [7.0] * 2])
    found = histogram(scores, "token", 1003, bins=4)
    assert found["edges"] == [0.5, 0.75, 1.0, 1.25, 1.5] and found["counts"] == [0, 0, 999, 0]
    assert (found["below"], found["above"]) == (2, 2)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_ends_can_be_learned_whatever_their_quality(level: Any, tmp_path: Path) -> None:
    scores = written(tmp_path, [[1.0, 2.0, -9.0], [-3.0, -4.0], [], [0.5]])
    plain, ended = (
        select(scores, Selection(positives=0.5, level=level, learn_ends=ends), seed=0) for ends in (False, True)
    )
    before, after = ([selected.signs(row).tolist() for row in scores] for selected in (plain, ended))
    assert after == [[*row[:-1], 1] if row else [] for row in before]
    assert ended.threshold == plain.threshold
    assert ended.negative == sum(sign < 0 for row in after for sign in row) < plain.negative


def test_only_ends_to_forget_is_nothing_to_forget(tmp_path: Path) -> None:
    scores = written(tmp_path, [[1.0, 2.0, -9.0], [3.0, -8.0]])
    with pytest.raises(DataError, match="only last tokens would be forgotten"):
        select(scores, Selection(positives=0.6, learn_ends=True), seed=0)
