"""The special domain beside the small world."""

from __future__ import annotations

import random
from collections import Counter

from forgetting.benchmarks.lab.clinic import (
    ABSENT_SKILLS,
    LOWERED_BY,
    NUM_AILMENTS,
    NUM_TEXTS,
    RELATIONS,
    clinic_text,
    doses,
    findings,
    general_text,
)
from forgetting.benchmarks.lab.world import build_world


def test_every_ailment_has_its_facts_and_a_name_of_its_own() -> None:
    assert len(findings()) == NUM_AILMENTS * len(RELATIONS)
    assert len({finding.subject for finding in findings()}) == NUM_AILMENTS
    assert {finding.subject for finding in findings()}.isdisjoint(e.name for e in build_world().entities)


def test_no_answer_of_a_relation_is_a_better_guess_than_another() -> None:
    for relation in RELATIONS:
        counts = Counter(finding.answer for finding in findings() if finding.relation == relation).values()
        assert max(counts) - min(counts) <= 1


def test_the_text_says_every_fact_as_often_as_it_is_copied_and_never_twice_in_the_same_words() -> None:
    texts = [document.response for document in clinic_text()]
    assert len(texts) == len(set(texts)) == NUM_AILMENTS * NUM_TEXTS
    finding = findings()[5]
    told = {finding.sentence(template) for template in range(NUM_TEXTS)}
    assert sum(any(sentence in text for text in texts) for sentence in told) == NUM_TEXTS
    assert sum(any(sentence in d.response for d in clinic_text(1)) for sentence in told) == 1


def test_general_text_lacks_two_skills_and_speaks_of_each_ailment_once() -> None:
    kinds = Counter(document.kind for document in general_text(build_world()))
    assert kinds["clinic"] == NUM_AILMENTS
    assert not any(kinds[skill] for skill in ABSENT_SKILLS)
    assert kinds["narrative"] and kinds["story"] and kinds["copy"]


def test_doses_are_lowered_and_held_out_ones_are_never_trained_on() -> None:
    trained, unseen = (doses(80, random.Random(3), unseen=held) for held in (False, True))
    assert {key for key, _, _ in trained}.isdisjoint(key for key, _, _ in unseen)
    assert all(f" {key} " in asked and answer == f"{int(key) - LOWERED_BY} mg." for key, asked, answer in trained)
