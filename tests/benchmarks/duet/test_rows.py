"""DUET's splits are read from files or asked of the hub; sets that are not published are drawn from the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.benchmarks.duet import rows
from forgetting.benchmarks.duet.rows import HUB, balanced, drawn_rows, published_rows
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.data.examples import Loaded
from forgetting.data.source import Source
from tests.benchmarks.duet.making import plain, row, write
from tests.benchmarks.duet.test_flags import examples


def whole(themes: int = 3, each: int = 20) -> list[dict[str, object]]:
    return [
        row(f"S{t}-{n}", "country", f"O{n}", pop_sum=float(100 * n + t), source_csv=f"theme{t}.csv")
        for t in range(themes)
        for n in range(each + 5 * t)
    ]


def popularities(examples: tuple[Example, ...]) -> list[float]:
    return sorted(e.popularity or 0.0 for e in examples)


def test_a_split_is_the_file_of_its_name_and_a_repeated_row_is_read_once(tmp_path: Path) -> None:
    again = row("A", "country", "B", pop_sum=11.0)
    write(tmp_path, "city_forget_rare_5", [row("A", "country", "B"), again, row("A", "country", "B", "Where is A?")])
    first, second = published_rows("city_forget_rare_5", tmp_path)
    assert (first.prompt, first.response, first.kind, first.popularity) == (
        "What is the country of A?",
        "B",
        "country",
        10.0,
    )
    assert first.group == second.group == "A | country | B" and first.id != second.id


def test_a_missing_file_and_an_unknown_split_are_answered_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "city_forget_rare_5", [plain("Q?", "A")])
    with pytest.raises(DataError, match=r"holds no city_forget_rare_1\.jsonl .*did you mean 'city_forget_rare_5'"):
        published_rows("city_forget_rare_1", tmp_path)
    with pytest.raises(RecipeError, match="DUET has no split 'city_forget_raer_5'; did you mean 'city_forget_rare_5'"):
        published_rows("city_forget_raer_5", None)
    with pytest.raises(RecipeError, match=r"'\.\./other/secret' is a path, not a split"):
        published_rows("../other/secret", tmp_path)


@pytest.mark.parametrize(
    "split", ["full_", "city_forget_popular_10", "city_fast_retain_1500", "paraphrases_city_forget_rare_5"]
)
def test_the_hub_is_asked_for_its_split(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Source] = []

    def load(source: Source) -> Loaded:
        asked.append(source)
        return Loaded((Example(id="1", prompt="Who?", response="Ann."),))

    monkeypatch.setattr(rows, "read_examples", load)
    assert len(published_rows(split, None)) == 1
    assert [(s.hub, s.name, s.split) for s in asked] == [(HUB, None, split)]


def test_shares_of_the_whole_are_its_ends_and_the_middle_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "full_", [*whole(), plain("Without popularity?", "Yes")])
    count = 75
    for name, size in (("full_rare_10", 7), ("full_popular_10", 7), ("full_rare_5", 3)):
        forget, kept = drawn_rows(name, tmp_path)
        assert (len(forget), len(kept)) == (size, count - 2 * size)
        ends = popularities((*forget, *kept))
        beyond = min(popularities(forget)) >= max(popularities(kept))
        assert beyond == ("popular" in name) and len(set(ends)) == len(ends)
    with pytest.raises(DataError, match="1% of 75 facts"):
        drawn_rows("full_rare_1", tmp_path)


def test_domains_are_equally_often_among_the_drawn_as_far_as_they_go() -> None:
    of = examples(whole(themes=4))
    rare, kept = balanced(of, "rare", 12)
    popular, same = balanced(of, "popular", 12)
    assert kept == same, "what is kept does not depend on which end is forgotten"
    themes = [sorted(str(e.fields["source_csv"]) for e in some) for some in (rare, popular, kept)]
    assert all(some == sorted(f"theme{n}.csv" for n in range(4) for _ in range(3)) for some in themes)
    assert max(popularities(rare)) < 400 and len({e.id for some in (rare, popular, kept) for e in some}) == 36
    assert [len(some) for some in balanced(of, "rare", 40)] == [36, 36], "thirds of the 110 there are"
    with pytest.raises(DataError, match="2 facts with popularity are too few"):
        balanced(of[:2], "rare", 1)
    with pytest.raises(DataError, match="has no source_csv"):
        balanced(examples([plain("Q?", "A")]), "rare", 1)
