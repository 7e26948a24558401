"""Whom examples are about."""

from forgetting.audits import subjects_of
from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.core.example import Example


def test_a_column_names_the_subject_for_its_whole_group_and_without_one_the_group_does() -> None:
    examples = [
        Example(id="a", prompt="where is he", response="x", group="g", fields={"subject": "Ann Bell"}),
        Example(id="b", prompt="where is she", response="x", group="g"),
        Example(id="c", prompt="what is it", response="y", group="h"),
        Example(id="d", prompt="what is this", response="z"),
    ]
    assert subjects_of(examples) == {"a": "Ann Bell", "b": "Ann Bell", "c": "h", "d": "d"}


def test_the_small_worlds_facts_are_about_its_people() -> None:
    examples = lab_suite("rare").data["forget"]
    found = subjects_of(examples)
    people = {id.rsplit("-", 3)[0][:10]: set() for id in found}
    for id, subject in found.items():
        people[id[:10]].add(subject)
    assert len(people) == 13 and all(len(names) == 1 for names in people.values())
    assert all(" " in subject for subject in found.values())
