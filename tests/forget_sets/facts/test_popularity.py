"""Measures of popularity and how those of both ends become one."""

from pathlib import Path

import pytest

from forgetting.core.errors import DataError, RecipeError
from forgetting.forget_sets.facts.fact import Entity
from forgetting.forget_sets.facts.popularity import Degree, Listed, Stated, popularities, popularity_named
from tests.forget_sets.facts.worlds import fact

FACTS = [fact("Lyon", "country", "France"), fact("Nice", "country", "France"), fact("Nice", "named after", "Nike")]


def test_the_degree_is_the_number_of_facts_at_either_end() -> None:
    degree = Degree(FACTS)
    assert [degree.of(Entity(label)) for label in ("Nice", "France", "Lyon", "Rome")] == [2, 2, 1, None]
    assert popularities(FACTS, degree, "sum") == [3, 4, 3]
    assert popularities(FACTS, degree, "subject") == [1, 2, 2]


def test_the_rank_is_the_mean_of_shares_and_missing_ends_have_none() -> None:
    facts = [fact("a", "country", "x", pop=5), fact("b", "country", "x", pop=50), fact("c", "country", "y")]
    facts = [
        f if f.object.label == "y" else fact(f.subject.label, "country", "x", pop=f.subject.popularity["views"])
        for f in facts
    ]
    views = Stated("views")
    assert popularities(facts, views, "subject") == [5, 50, None]
    assert popularities(facts, views, "sum") == [None, None, None], "no object has views"
    assert popularities(facts, Degree(facts), "rank") == pytest.approx(
        [(2 / 3 + 5 / 6) / 2, (2 / 3 + 5 / 6) / 2, (2 / 3 + 1 / 3) / 2]
    )


def test_a_table_is_asked_by_id_then_by_label(tmp_path: Path) -> None:
    file = tmp_path / "views.csv"
    file.write_text("id,views\nQ1,7\nLyon,3\nBad,many\n")
    listed = Listed(file, "2026-11")
    assert [listed.of(e) for e in (Entity("Lyon", "Q1"), Entity("Lyon", "Q9"), Entity("Bad"), Entity("x"))] == [
        7,
        3,
        None,
        None,
    ]
    assert (listed.about["name"], listed.about["date"]) == ("views.csv:views", "2026-11")


@pytest.mark.parametrize(
    ("text", "said"), [("id,x\nQ1,7\n", "needs a column"), ("id,views\nQ1,7\nQ1,8\n", "'Q1' stands there twice")]
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "views.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        Listed(file)


def test_a_measure_is_named_and_a_slip_gets_the_nearest() -> None:
    facts = [fact("a", "country", "x", pop=5)]
    assert isinstance(popularity_named("views", facts), Stated)
    assert isinstance(popularity_named("degree", facts), Degree)
    with pytest.raises(RecipeError, match="bring no 'vews'; did you mean 'views'"):
        popularity_named("vews", facts)
