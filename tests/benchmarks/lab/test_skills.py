"""Exercises are right, and those that are held out stay out."""

import random

import pytest

from forgetting.benchmarks.lab.skills import SKILLS, draw, held_out


def exercises(skill):
    return draw(skill, 200, random.Random(3), unseen=False)


def test_sums_are_sums():
    for exercise in exercises("addition"):
        a, b = exercise.prompt.removeprefix("Add: ").split(" + ")
        assert int(a) + int(b) == int(exercise.response.rstrip("."))


def test_copies_are_copies():
    assert all(e.response == e.prompt.removeprefix("Copy: ") + "." for e in exercises("copy"))


def test_successors_follow():
    for exercise in exercises("successor"):
        assert int(exercise.response.rstrip(".")) == int(exercise.prompt.removeprefix("Next: ")) + 1


def test_induction_asks_for_the_partner_in_the_list():
    for exercise in exercises("induction"):
        listed, asked = exercise.prompt.removeprefix("Pairs: ").split("; ")
        partners = dict(pair.split() for pair in listed.split(", "))
        assert partners[asked] + "." == exercise.response


def test_items_of_a_category_belong_to_it_alone():
    owners = {}
    for exercise in exercises("category"):
        for item in exercise.prompt.removeprefix("Kind: ").split(", "):
            assert owners.setdefault(item, exercise.response) == exercise.response
    assert len(set(owners.values())) == 6


def test_shares_of_the_skills_sum_to_one():
    assert sum(share for share, _ in SKILLS.values()) == pytest.approx(1)


@pytest.mark.parametrize("skill", SKILLS)
def test_unseen_exercises_are_held_out_and_differ(skill):
    drawn = draw(skill, 60, random.Random(0), unseen=True)
    assert all(held_out(exercise.key) for exercise in drawn)
    assert len({exercise.key for exercise in drawn}) == 60


def test_about_a_tenth_is_held_out_at_every_last_digit():
    for digit in range(10):
        numbers = range(100 + digit, 10_000, 10)
        share = sum(held_out(str(number)) for number in numbers) / len(numbers)
        assert 0.06 < share < 0.14
