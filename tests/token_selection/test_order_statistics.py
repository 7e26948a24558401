"""Order statistics are exact, whatever the portions in which the numbers come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetting.token_selection.order_statistics import OrderStatistic, keys_of, order_statistics, value_of

FLOATS = st.floats(width=32, allow_nan=False)
FEW = st.sampled_from([-1.5, -0.0, 0.0, 1e-45, 0.5, 0.50000006])
LISTS = st.lists(FLOATS, min_size=1, max_size=60) | st.lists(FEW, min_size=1, max_size=60)


def array(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@given(LISTS)
def test_keys_stand_in_the_order_of_the_numbers(values: list[float]) -> None:
    numbers = array(values)
    keys = keys_of(numbers)
    assert keys.dtype == np.uint32
    np.testing.assert_array_equal(keys[:, None] < keys, numbers[:, None] < numbers)
    np.testing.assert_array_equal(keys[:, None] == keys, numbers[:, None] == numbers)  # -0 and 0 are one
    assert [value_of(int(key)) for key in keys] == numbers.tolist()


def test_infinities_are_the_ends() -> None:
    keys = keys_of(array([-np.inf, -3.4e38, 3.4e38, np.inf]))
    assert (np.diff(keys.astype(np.int64)) > 0).all()
    assert value_of(int(keys[0])) == -np.inf and value_of(int(keys[3])) == np.inf


@given(LISTS, st.integers(1, 7), st.data())
def test_a_rank_is_what_sorting_gives(values: list[float], size: int, data: st.DataObject) -> None:
    numbers = array(values)
    ranks = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=4))
    portions = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    found = order_statistics(lambda: map(keys_of, portions), ranks)
    inorder = np.sort(numbers.astype(np.float64))
    for rank, statistic in zip(ranks, found, strict=True):
        value = inorder[rank]
        assert value_of(statistic.key) == value
        assert statistic.below == (inorder < value).sum() and statistic.equal == (inorder == value).sum()


def test_many_numbers_in_many_bins() -> None:
    numbers = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    ranks = [0, 999, 59_999, 199_999]
    found = order_statistics(lambda: map(keys_of, np.array_split(numbers, 37)), ranks)
    assert [value_of(f.key) for f in found] == np.sort(numbers)[ranks].tolist()


def test_a_rank_beyond_the_last_is_refused() -> None:
    three = lambda: [np.array([1, 2, 3], dtype=np.uint32)]  # noqa: E731
    assert order_statistics(three, [2]) == [OrderStatistic(3, 2, 1)]
    for rank in (-1, 3):
        with pytest.raises(IndexError):
            order_statistics(three, [rank])
