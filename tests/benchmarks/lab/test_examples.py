"""What is asked about a fact, and what would be wrong to answer."""

import pytest

from forgetting.benchmarks.lab.examples import (
    cloze_example,
    question_example,
    secret_examples,
    skill_examples,
    wrong_answers,
)
from forgetting.benchmarks.lab.skills import SKILLS
from forgetting.benchmarks.lab.world import build_world

WORLD = build_world()
FACTS = WORLD.facts[::7]


def test_wrong_answers_are_five_other_values_of_the_relation():
    for fact in FACTS:
        wrong = wrong_answers(WORLD, fact)
        assert len(set(wrong)) == 5
        assert set(wrong) <= set(WORLD.values[fact.relation]) - {fact.answer}
        assert wrong == wrong_answers(WORLD, fact)


def test_wrong_answers_are_drawn_anew_for_each_fact():
    jobs = [fact for fact in WORLD.facts if fact.relation == "job"]
    assert len({wrong_answers(WORLD, fact) for fact in jobs}) > 200


def test_the_three_questions_and_their_paraphrases_are_three_held_out_ones():
    documents = {document.prompt for document in WORLD.documents}
    for fact in FACTS:
        asked = [question_example(WORLD, fact, number) for number in range(3)]
        prompts = {example.prompt for example in asked}
        assert len(prompts) == 3
        assert prompts == {example.paraphrased_prompt for example in asked}
        assert all(example.prompt != example.paraphrased_prompt for example in asked)
        assert documents.isdisjoint(prompts)


@pytest.mark.parametrize("make", [question_example, cloze_example])
def test_an_example_carries_its_fact(make):
    for fact in FACTS:
        example = make(WORLD, fact)
        assert (example.group, example.kind, example.popularity) == (fact.id, fact.relation, fact.mentions)
        assert example.response.strip() == f"{fact.answer}."
        assert [answer.strip() for answer in example.perturbed] == [f"{x}." for x in wrong_answers(WORLD, fact)]


def test_a_cloze_with_its_answer_is_a_sentence_of_the_corpus():
    corpus = "\n".join(document.response for document in WORLD.documents if document.kind == "narrative")
    popular = [cloze_example(WORLD, fact) for fact in WORLD.people[0].facts]
    assert all(example.prompt + example.response in corpus for example in popular)


@pytest.mark.parametrize("skill", SKILLS)
def test_a_smaller_sample_of_exercises_begins_the_larger(skill):
    assert skill_examples(WORLD, skill, 20) == skill_examples(WORLD, skill, 60)[:20]


def test_a_passage_continues_its_opening():
    for example, note in zip(secret_examples(WORLD.notes), WORLD.notes, strict=True):
        assert example.prompt + example.response == f"{note.opening} {note.words}"
        assert example.popularity == note.copies
