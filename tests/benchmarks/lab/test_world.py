"""What is true in the small world, and what its documents say."""

from collections import Counter
from dataclasses import replace

import pytest

from forgetting.benchmarks.lab import text
from forgetting.benchmarks.lab.skills import held_out
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.errors import DataError

WORLD = build_world()
SETS = ("rare", "popular")


def test_a_seed_gives_one_world_and_another_seed_another():
    assert build_world.__wrapped__(0).digest == WORLD.digest
    assert build_world(1).digest != WORLD.digest


def test_there_are_1600_facts_and_240_known_people():
    assert len(WORLD.facts) == 1600
    assert (len(WORLD.people), len(WORLD.cities), len(WORLD.companies)) == (240, 40, 40)
    assert len({fact.id for fact in WORLD.facts}) == 1600


def test_a_fact_is_stated_as_often_as_it_says_and_by_zipfs_law():
    stated = Counter(fact for document in WORLD.documents for fact in document.facts)
    promised = {fact.id: fact.mentions for fact in WORLD.facts}
    assert stated == promised
    for person in WORLD.people:
        assert {fact.mentions for fact in person.facts} == {max(2, round(240 / person.rank**0.9))}


def test_documents_state_the_facts_that_they_name():
    facts = {fact.id: fact for fact in WORLD.facts}
    for document in WORLD.documents:
        for fact in (facts[key] for key in document.facts):
            assert fact.subject in document.prompt + document.response
            assert f" {fact.answer}." in " " + document.response


def test_answers_are_balanced_within_each_relation():
    for relation in text.NARRATIVE:
        shares = Counter(fact.answer for fact in WORLD.facts if fact.relation == relation)
        assert max(shares.values()) - min(shares.values()) <= 1


def test_no_name_is_shared():
    names = [entity.name for entity in WORLD.entities + WORLD.strangers]
    surnames = [name.split()[-1] for name in names]
    assert len(set(surnames)) == len(names)


@pytest.mark.parametrize("forget", SETS)
def test_forget_facts_are_78_of_13_people_who_are_never_asked_about(forget):
    facts = WORLD.forget_facts(forget)
    assert len(facts) == 78
    assert len({fact.subject for fact in facts}) == 13
    about = [d for d in WORLD.documents if {fact.id for fact in facts} & set(d.facts)]
    assert {document.kind for document in about} == {"narrative"}


def test_rare_facts_are_stated_twice_and_popular_ones_often():
    assert {fact.mentions for fact in WORLD.forget_facts("rare")} == {2}
    assert min(fact.mentions for fact in WORLD.forget_facts("popular")) >= 13


def test_the_large_set_is_40_people_known_from_narrative_alone_and_leaves_the_digest_as_it_was():
    facts = WORLD.forget_facts("many")
    assert len(facts) == 240 and len({fact.subject for fact in facts}) == 40
    assert {fact.mentions for fact in facts} == {2}
    about = [d for d in WORLD.documents if {fact.id for fact in facts} & set(d.facts)]
    assert {document.kind for document in about} == {"narrative"}
    without = replace(WORLD, forget_people={name: WORLD.forget_people[name] for name in SETS})
    assert without.digest == WORLD.digest  # of which the shipped models were made


@pytest.mark.parametrize("forget", (*SETS, "many"))
def test_the_oracles_corpus_lacks_the_people_to_be_forgotten_and_nothing_else(forget):
    people = {fact.subject for fact in WORLD.forget_facts(forget)}
    kept = WORLD.corpus(forget)
    expected = [d for d in WORLD.documents if not any(name in d.prompt + d.response for name in people)]
    assert list(kept) == expected
    assert len(WORLD.documents) - len(kept) > 0


def test_an_unknown_forget_set_is_refused_by_name():
    with pytest.raises(DataError, match="'rear'; did you mean 'rare'"):
        WORLD.corpus("rear")


def test_no_document_mentions_a_stranger():
    everything = "\n".join(document.prompt + document.response for document in WORLD.documents)
    assert not any(stranger.name in everything for stranger in WORLD.strangers)


def test_no_document_asks_in_a_held_out_combination():
    held = {
        text.question(fact.relation, fact.subject, *pair) for fact in WORLD.facts for pair in text.HELD_OUT_QUESTIONS
    }
    assert held.isdisjoint(document.prompt for document in WORLD.documents)


def test_no_document_exercises_a_held_out_key():
    keyed = {"Add: ": "addition", "Copy: ": "copy", "Next: ": "successor", "Kind: ": "category", "Pairs: ": "induction"}
    seen = Counter()
    for document in WORLD.documents:
        for mark, skill in keyed.items():
            if document.kind == skill:
                key = document.prompt.removeprefix(mark)
                assert not held_out(key.replace(" + ", " ") if skill == "addition" else key)
                seen[skill] += 1
    assert set(seen) == set(keyed.values())


def test_passages_stand_in_the_corpus_as_often_as_they_say():
    texts = Counter(document.response for document in WORLD.documents)
    for note in WORLD.notes:
        assert texts[f"{note.opening} {note.words}"] == note.copies
    assert Counter(note.copies for note in WORLD.notes) == {8: 32, 3: 16, 1: 16, 0: 16}


def test_no_opening_begins_another_so_a_cloze_has_one_answer():
    openings = [
        text.opening(relation, "It", i) for relation in text.NARRATIVE for i in range(len(text.NARRATIVE[relation]))
    ]
    assert not [(a, b) for a in openings for b in openings if a != b and b.startswith(a + " ")]
    assert len(set(openings)) == len(openings)
