"""Mixtures of general and domain examples."""

import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.examples import said
from forgetting.forget_sets.builders.mixed import mixed


def examples(name: str, count: int) -> list[Example]:
    return [Example(id=str(i), response=f"{name} {i}", form="text") for i in range(count)]


GENERAL, DOMAIN = examples("novel", 50), examples("code", 20)


def test_holds_as_many_of_each_side_as_asked_for_and_names_them() -> None:
    found = mixed(GENERAL, DOMAIN, count=8, domain_count=5, seed=1)
    sides = [("code" in e.response) for e in found.examples]
    assert sides == list(found.from_domain)
    assert (len(sides), sum(sides)) == (13, 5)
    assert sides != sorted(sides)  # shuffled together
    assert len({e.id for e in found.examples}) == 13  # though both sides number theirs from 0
    assert {said(e) for e in found.rest} == {said(e) for e in GENERAL} - {said(e) for e in found.examples}


def test_the_seed_decides_and_a_smaller_draw_is_part_of_a_larger_one() -> None:
    def drawn(count: int, seed: int) -> set[str]:
        return {e.response for e in mixed(GENERAL, DOMAIN, count=count, domain_count=2, seed=seed).examples}

    assert mixed(GENERAL, DOMAIN, count=8, domain_count=5, seed=3) == mixed(
        GENERAL, DOMAIN, count=8, domain_count=5, seed=3
    )
    assert drawn(8, 3) < drawn(20, 3)
    assert drawn(8, 3) != drawn(8, 4)


def test_a_general_example_that_the_domain_holds_too_is_not_drawn_as_general() -> None:
    general = [*GENERAL[:4], Example(id="x", response="CODE  3", form="text")]
    found = mixed(general, DOMAIN, count=4, domain_count=1)
    assert found.of_domain == 1
    assert {e.response for e, d in zip(found.examples, found.from_domain, strict=True) if not d} == {
        e.response for e in GENERAL[:4]
    }


def test_a_repeat_is_drawn_once() -> None:
    with pytest.raises(DataError, match="domain: has 20 examples that differ, and 21 are asked"):
        mixed(GENERAL, DOMAIN * 2, count=1, domain_count=21)


def test_none_of_a_side_is_no_mixture() -> None:
    with pytest.raises(DataError, match="general: has 50 examples that differ, and 0 are asked of it; give at least 1"):
        mixed(GENERAL, DOMAIN, count=0, domain_count=1)
