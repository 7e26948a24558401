"""How many examples each source gives follows from size, shares and counts."""

from __future__ import annotations

import pytest

from forgetting.core.errors import RecipeError
from forgetting.data.shares import wanted
from forgetting.data.source import Source


def of(size: int | None, *keys: dict) -> tuple[list[int | None], int | None]:
    return wanted(size, [(f"s{i}", Source(path=f"s{i}.csv", **k)) for i, k in enumerate(keys)])


@pytest.mark.parametrize(
    ("size", "sources", "asked", "together"),
    [
        (None, [{}, {}], [None, None], None),
        (None, [{"count": 3}, {}], [3, None], None),
        (100, [{"share": 0.05}, {"share": 0.95}], [5, 95], None),
        (100, [{"share": 1}, {"share": 3}], [25, 75], None),
        (10, [{"share": 1}] * 3, [4, 3, 3], None),
        (100, [{"count": 40}, {"share": 0.5}, {"share": 0.5}], [40, 30, 30], None),
        (100, [{"count": 40}, {"share": 0.5}, {}], [40, 30, None], 30),
        (100, [{}, {}], [None, None], 100),
        (100, [{"count": 10}, {}, {}], [10, None, None], 90),
        (50_000, [{"share": s} for s in (5.23, 35.61, 11.92, 18.55, 28.69)], [2615, 17805, 5960, 9275, 14345], None),
        (30, [{"count": 10}, {"count": 20}], [10, 20], None),
    ],
)
def test_counts_come_first_and_shares_divide_what_is_left(
    size: int | None, sources: list[dict], asked: list[int | None], together: int | None
) -> None:
    assert of(size, *sources) == (asked, together)


@pytest.mark.parametrize("size", [7, 99, 1000, 12_345])
def test_shares_meet_the_size_whatever_they_add_up_to(size: int) -> None:
    asked, _ = of(size, *({"share": s} for s in (0.3, 0.31, 0.7, 1.1)))
    assert sum(n or 0 for n in asked) == size


@pytest.mark.parametrize(
    ("size", "sources", "message"),
    [
        (None, [{}, {"share": 0.5}], "s1: has a share, but the corpus has no size to share; write corpus.size=…"),
        (10, [{"count": 20}], "corpus.size is 10, but the counts add up to 20; change one of them"),
        (30, [{"count": 20}], "corpus.size is 30, but the counts add up to 20"),
        (20, [{"count": 20}, {}], "corpus.size is 20, but the counts add up to 20"),
        (20, [{"count": 20}, {"share": 0.5}], "corpus.size is 20, but the counts add up to 20"),
        (10, [{"share": 0.4}, {"share": 0.6}, {}], "s2: has neither share nor count, and .* add up to 1, which leaves"),
        (10, [{"share": 0.001}, {"share": 0.999}], "s0: its share of 10 examples is less than one; raise it"),
    ],
)
def test_what_does_not_fit_is_named(size: int | None, sources: list[dict], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as raised:
        of(size, *sources)
    assert "\n" not in str(raised.value)
