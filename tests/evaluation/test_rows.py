"""Batches hold each row once, longest first, within their bound and without needless filling up."""

from __future__ import annotations

import pytest

from forgetting.evaluation.rows import by_length


@pytest.mark.parametrize("enough", [None, 1, 100])
def test_each_row_stands_in_one_batch_longest_first(enough: int | None) -> None:
    lengths = [(7 * i) % 31 + 1 for i in range(200)]
    batches = list(by_length(lengths, 300, enough))
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(200))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert max(len(batch) * lengths[batch[0]] for batch in batches) <= 300 * 9 / 8


def test_few_rows_that_are_left_go_along() -> None:
    assert [len(batch) for batch in by_length([10] * 18, 160)] == [18]
    assert [len(batch) for batch in by_length([10] * 19, 160)] == [16, 3]


def test_a_row_longer_than_the_bound_is_a_batch_of_its_own() -> None:
    assert list(by_length([50, 3, 70], 40)) == [[2], [0], [1]]


def test_a_batch_with_enough_tokens_is_not_filled_up_with_short_rows() -> None:
    lengths = [8] * 4 + [7] * 3 + [6] * 2
    assert [len(batch) for batch in by_length(lengths, 1_000, 16)] == [7, 2]
    assert [len(batch) for batch in by_length(lengths, 1_000, 64)] == [9]
