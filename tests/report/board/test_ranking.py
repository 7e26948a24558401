"""Who is best is said only where intervals tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.report.board.entry import entries
from forgetting.report.board.methods import Method, methods
from forgetting.report.board.ranking import best
from tests.report.board.made import at, made


@pytest.fixture
def rows(tmp_path: Path) -> list[Method]:
    """a and b near one another, c far off; the oracle has 0.21 of the forget set. Intervals are Wilson's."""
    made(tmp_path / "a", method="a", after=at(0.20, 0.950))
    made(tmp_path / "b", method="b", after=at(0.25, 0.940))
    made(tmp_path / "c", method="c", after=at(0.90, 0.300))
    return methods(entries([tmp_path])[0])


def test_rows_whose_intervals_meet_are_not_told_apart(rows: list[Method]) -> None:
    found = best("retain/probability", rows)
    assert (found.first, found.tied) == (0, (1,))
    assert found.statement == "a and b are best, and not told apart from one another"


def test_nearness_to_the_oracle_is_what_counts_where_it_is_the_goal(rows: list[Method]) -> None:
    found = best("forget/probability", rows)
    assert (found.first, found.tied) == (0, (1,))
    assert found.statement == "a and b are closest to the oracle, and not told apart from one another"
    assert best("forget/probability", rows[1:]).statement == "b is closest to the oracle, told apart from the others"


def test_one_that_no_other_interval_reaches_is_best(rows: list[Method]) -> None:
    found = best("retain/probability", [rows[0], rows[2]])
    assert (found.first, found.tied, found.statement) == (0, (), "a is best, told apart from the others")


def test_where_all_intervals_meet_no_order_is_said(rows: list[Method]) -> None:
    assert best("retain/probability", rows[:2]).statement == "a and b are not told apart"


def test_a_value_without_an_interval_tells_nothing_apart(rows: list[Method]) -> None:
    found = best("forget/forget_quality", rows)
    assert len(found.tied) == 2 and found.statement == "a, b and c are not told apart"


def test_one_row_alone_is_not_best(rows: list[Method]) -> None:
    assert best("retain/probability", rows[:1]).first is None
    assert best("none/such", rows).first is None
