"""A stage may stop at a limit of one measure."""

from dataclasses import replace

import pytest

from forgetting.core.errors import DataError
from forgetting.core.measure import Measure
from forgetting.metrics.limit import Limit


def measured(value: float | None) -> list[Measure]:
    return [Measure(name="exact_match", split="forget", value=value, count=9, reason="no answers")]


def test_a_limit_is_read_as_it_is_written() -> None:
    limit = Limit.parse(" forget/exact_match<=0.10")
    assert limit == Limit("forget/exact_match", True, 0.1)
    assert Limit.parse(str(limit)) == limit
    assert not Limit.parse("retain/probability >= 1e-2").at_most


@pytest.mark.parametrize(
    "text", ["", "extracted", "exact_match <= 0.1", "forget/exact_match < 0.1", "a/b <= x", "a/b <= nan"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write extraction, or a limit such as"):
        Limit.parse(text)


def test_a_limit_may_be_another_measure_of_the_same_model() -> None:
    limit = Limit.parse("forget/exact_match <= unseen/exact_match")
    assert limit == Limit("forget/exact_match", True, "unseen/exact_match")
    assert Limit.parse(str(limit)) == limit
    assert limit.keys == ("forget/exact_match", "unseen/exact_match")
    other = Measure(name="exact_match", split="unseen", value=0.2, count=9)
    assert [limit.reached([*measured(v), other]) for v in (0.1, 0.2, 0.21)] == [True, True, False]
    noisy = replace(other, low=0.1, high=0.3)
    assert [limit.reached([*measured(v), noisy]) for v in (0.2, 0.3, 0.31)] == [True, True, False]
    at_least = Limit.parse("forget/exact_match >= unseen/exact_match")
    assert [at_least.reached([*measured(v), noisy]) for v in (0.2, 0.1, 0.09)] == [True, True, False]
    with pytest.raises(DataError, match="no measure is called 'unseen/exact_match'"):
        limit.reached(measured(0.1))


def test_a_measure_is_not_compared_with_itself_and_no_digit_of_a_value_is_lost() -> None:
    with pytest.raises(ValueError, match="forget/exact_match is compared with itself"):
        Limit.parse("forget/exact_match <= forget/exact_match")
    assert str(Limit.parse("forget/exact_match <= 0.12345678")) == "forget/exact_match <= 0.12345678"


def test_at_most_and_at_least_hold_at_the_value_itself() -> None:
    most, least = Limit.parse("forget/exact_match <= 0.1"), Limit.parse("forget/exact_match >= 0.1")
    assert [most.reached(measured(v)) for v in (0.0, 0.1, 0.11)] == [True, True, False]
    assert [least.reached(measured(v)) for v in (0.0, 0.1, 0.11)] == [False, True, True]


def test_a_measure_that_is_not_there_or_has_no_value_is_named() -> None:
    with pytest.raises(DataError, match="no measure is called 'forget/exact_mach'; did you mean 'forget/exact_match'"):
        Limit.parse("forget/exact_mach <= 0.1").reached(measured(0.5))
    with pytest.raises(DataError, match=r"forget/exact_match has no value \(no answers\)"):
        Limit.parse("forget/exact_match <= 0.1").reached(measured(None))
