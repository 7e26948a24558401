"""Where a setting is sought."""

from typing import Annotated

import pytest

from forgetting.core.tunable import OneOf, Tunable, sought, sought_in


def test_a_range_holds_its_ends_and_what_lies_between() -> None:
    where = Tunable(0.1, 10.0, log=True)
    assert 0.1 in where and 10 in where and 1.0 in where
    assert 0.09 not in where and "1.0" not in where and True not in where and {"schedule": "linear"} not in where
    assert 2.5 not in Tunable(1, 4, whole=True) and 2.0 in Tunable(1, 4, whole=True)


@pytest.mark.parametrize(
    ("low", "high", "log", "whole", "said"),
    [
        (2.0, 1.0, False, False, "the lower one first"),
        (0.0, 1.0, True, False, "above 0"),
        (float("nan"), 1.0, False, False, "two numbers"),
        (0.5, 3.0, False, True, "whole numbers"),
    ],
)
def test_a_range_that_is_none_is_refused(low: float, high: float, log: bool, whole: bool, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Tunable(low, high, log, whole)


def test_a_list_needs_two_different_values() -> None:
    assert "kl" in OneOf(("nll", "kl"))
    for values in ((), (1,), ("a", "a")):
        with pytest.raises(ValueError, match="at least two different"):
            OneOf(values)


def test_values_are_rounded_inside_the_range() -> None:
    assert Tunable(1e-5, 1e-3).rounded(0.000123456) == 1.235e-4
    assert Tunable(0.123456, 1.0).rounded(0.12346) == 0.1235
    assert Tunable(0.12349, 1.0).rounded(0.12349) == 0.1235
    assert Tunable(0.12341, 1.0).rounded(0.12342) == 0.12341  # 0.1234 would lie below it
    assert Tunable(1, 9, whole=True).rounded(3.4) == 3


def test_a_type_says_where_its_parameter_is_sought() -> None:
    where = Tunable(0.0, 1.0)
    assert sought_in(Annotated[float, where]) == where
    assert sought_in(Annotated[str, "else"]) is None and sought_in(float) is None


def test_the_forms_that_a_recipe_may_write() -> None:
    assert sought({"low": "1e-5", "high": 1e-3, "log": True}) == Tunable(1e-5, 1e-3, log=True)
    assert sought({"low": 2, "high": 8}, whole=True) == Tunable(2, 8, whole=True)
    assert sought([1, 2]) == OneOf((1, 2)) and sought(None) is None
    for wrong in (3, {"low": 1}, {"low": 1, "high": 2, "lgo": True}, {"low": "x", "high": 2}, [[1], [2]]):
        with pytest.raises(ValueError, match="write"):
            sought(wrong)


def test_the_ends_of_a_range_on_its_scale() -> None:
    where = Tunable(1e-5, 1e-3, log=True)
    assert where.is_end(1e-5) and where.is_end(1.04e-5) and not where.is_end(1.1e-5) and where.is_end(0.97e-3)
    assert Tunable(0.0, 100.0).is_end(99.5) and not Tunable(0.0, 100.0).is_end(98.5)
