"""Which facts can be asked, and that every step is counted."""

import pytest

from forgetting.forget_sets.facts.clean import cleaned, leak
from forgetting.forget_sets.facts.fact import Fact
from forgetting.forget_sets.facts.popularity import Degree, Stated
from forgetting.forget_sets.facts.relations import Relation, Relations
from tests.forget_sets.facts.worlds import BUILT_IN, fact

FACTS = [
    fact("Lyon", "country", "France"),
    fact("Lyon", "country", "France"),
    fact("Lyon", "twinned administrative body", "Leeds"),
    fact("Q42", "country", "France"),
    fact("Troy", "country", "United States", id="Q1"),
    fact("Troy", "country", "Turkey", id="Q2"),
    fact("Bo", "occupation", "poet"),
    fact("Bo", "occupation", "painter"),
    fact("Cy", "occupation", "painter"),
    fact("Mexico City", "country", "Mexico"),
]


def left(**how: object) -> tuple[list[tuple[str, str]], dict[str, int]]:
    facts, steps, _ = cleaned(FACTS, BUILT_IN, Degree, **how)  # type: ignore[arg-type]
    return [(f.subject.label, f.object.label) for f in facts], steps.counts


def test_every_step_is_counted_in_its_order() -> None:
    facts, counts = left()
    assert facts == [("Lyon", "France"), ("Cy", "painter")]
    assert counts == {
        "read": 10,
        "stated once": 9,
        "asked by the relations file": 8,
        "named, and not by a bare id": 7,
        "about a name that one entity bears": 5,
        "with one answer": 3,
        "whose subject does not tell the answer": 2,
    }


def test_a_name_of_several_popularities_is_that_of_several_entities_unless_their_ids_are_one() -> None:
    """Paris, the city, is viewed often; Paris, the song, rarely. Neither is what the other's popularity says."""
    facts = [
        fact("Paris", "country", "France", pop=265_592),
        fact("Paris", "composer", "John Cale", pop=233),
        fact("Genesis", "country", "United Kingdom", pop=368),
        fact("Genesis", "its director, a relation that nobody asks for", "Mrinal Sen", pop=591),
        fact("Oslo", "country", "Norway", pop=7),
        fact("Oslo", "occupation", "poet", pop=7),
        fact("Bern", "country", "Switzerland", id="Q70", pop=5),
        fact("Bern", "composer", "Nobody", id="Q70", pop=6),
    ]
    found, steps, _ = cleaned(facts, BUILT_IN, lambda _: Stated("views"))
    assert {f.subject.label for f in found} == {"Oslo", "Bern"}
    assert steps.counts["about a name that one entity bears"] == 4


def names_left(*facts: Fact) -> list[str]:
    found, _, _ = cleaned(facts, BUILT_IN, lambda _: Stated("views"))
    return [f.subject.label for f in found]


def test_an_entity_without_an_id_is_the_one_of_its_name_and_popularity() -> None:
    named = fact("Bern", "country", "Switzerland", id="Q70", pop=5)
    for other in (5.0, None):
        assert names_left(named, fact("Bern", "composer", "Nobody", pop=other)) == ["Bern", "Bern"]
    assert names_left(named, fact("Bern", "composer", "Nobody", pop=6)) == []
    assert names_left(named, fact("Bern", "composer", "Nobody", id="Q71", pop=5)) == []


def test_where_one_fact_gives_an_entitys_id_all_of_that_name_are_about_it() -> None:
    """Else one fact would stand there twice, and one question with two answers."""
    named = fact("Bern", "country", "Switzerland", id="Q70", pop=5)
    for popularity in (5.0, None):
        assert names_left(named, fact("Bern", "country", "Switzerland", pop=popularity)) == ["Bern"]
        assert names_left(fact("bern", "country", "Austria", pop=popularity), named) == []
    found, _, _ = cleaned([named, fact("Bern", "composer", "Nobody", pop=5)], BUILT_IN, lambda _: Stated("views"))
    assert [one.subject.key for one in found] == ["Q70", "Q70"]


def test_names_that_differ_in_case_alone_are_one_name() -> None:
    """One fact twice is one, whatever its letters; two popularities are two entities, and the name tells neither."""
    small, great = (fact(name, "country", land, pop=7) for name, land in (("oslo", "norway"), ("Oslo", "Norway")))
    assert names_left(small, great) == ["oslo"]
    assert names_left(great, fact("OSLO", "country", "Norway", pop=8)) == []
    found, _, measure = cleaned([small, great, fact("OSLO", "capital of", "Norway")], BUILT_IN, Degree)
    assert [(f.subject.label, measure.of(f.subject)) for f in found][:1] == [("oslo", 3.0)]


def test_of_several_answers_the_most_popular_is_kept_if_asked_for() -> None:
    facts, _ = left(several="popular")
    assert ("Bo", "painter") in facts


def test_leaks_are_kept_if_asked_for() -> None:
    facts, _ = left(leaks=True)
    assert ("Mexico City", "Mexico") in facts


def test_relations_without_a_question_are_counted_or_asked_in_a_general_form() -> None:
    _, steps, _ = cleaned(FACTS, BUILT_IN, Degree)
    assert steps.without == {"twinned administrative body": 1}
    general = Relations({**BUILT_IN.named, "*": Relation(question="What is the {relation} of {subject}?")}, "test")
    found, steps, _ = cleaned(FACTS, general, Degree)
    assert (steps.without, steps.generic) == ({}, {"twinned administrative body": 1})
    assert ("Lyon", "Leeds") in [(f.subject.label, f.object.label) for f in found]


@pytest.mark.parametrize(
    ("subject", "object", "told"),
    [
        ("Ruhango", "Ruhango District", True),
        ("Kuwait", "Kuwaiti dinar", True),
        ("New York", "New Jersey", True),
        ("Man", "Oman", False),
        ("City of London", "City of Westminster", False),
        ("Lyon", "France", False),
    ],
)
def test_a_leak_is_a_name_in_the_other(subject: str, object: str, told: bool) -> None:
    assert leak(fact(subject, "country", object)) is told
