"""Numbers read well."""

import pytest

from forgetting.core.measure import Measure
from forgetting.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.07044, "0.0704"),
        (0.89, "0.890"),
        (9.996, "10.0"),
        (123.4, "123"),
        (12345.6, "12\u202f346"),
        (2e-4, "2·10⁻⁴"),
        (9.6e-29, "9.6·10⁻²⁹"),
        (-1.5, "−1.50"),
        (1.2e9, "1.2·10⁹"),
        (None, "—"),
        (float("nan"), "not finite"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert wording.number(value) == text


def test_shares_line_up_and_never_hide_that_they_are_above_zero() -> None:
    assert [wording.share(v) for v in (0.0, 0.0004, 0.0005, 0.07, 1.0)] == [
        "0.000",
        "<0.001",
        "0.001",
        "0.070",
        "1.000",
    ]


def test_a_p_value_is_read_in_powers_of_ten_and_a_distance_is_not() -> None:
    p = Measure(name="forget_quality", split="forget", value=3e-5, count=78)
    distance = Measure(name="forget_quality_distance", split="forget", value=0.3, count=78)
    assert (wording.is_p_value(p), wording.is_p_value(distance)) == (True, False)
    assert wording.value_text(p) == "3·10⁻⁵"
    assert wording.value_text(distance) == "0.300"


def test_an_interval_stands_in_brackets_and_only_where_there_is_one() -> None:
    with_one = Measure(name="probability", split="retain", value=0.9, count=3, low=0.85, high=0.93)
    without = Measure(name="probability", split="retain", value=0.9, count=3)
    assert wording.with_interval(with_one) == "0.900 (0.850–0.930)"
    assert wording.with_interval(without) == "0.900"
    assert wording.interval_text(None) == ""


@pytest.mark.parametrize(
    ("split", "name", "title"),
    [
        ("forget", "exact_match", "forget · exact match"),
        ("forget", "forget_quality", "forget quality"),
        ("all", "model_utility", "model utility"),
        ("forget_narrative", "probability", "forget narrative · probability"),
    ],
)
def test_titles_do_not_say_a_word_twice(split: str, name: str, title: str) -> None:
    assert wording.title(Measure(name=name, split=split, value=None, count=0)) == title


def test_units() -> None:
    assert [wording.seconds(v) for v in (8.62, 14.2, 131, 11100)] == ["8.6 s", "14 s", "2 min 11 s", "3 h 05 min"]
    assert [wording.size(v) for v in (412 * 2**20, 1.5 * 2**30, None)] == ["412 MiB", "1.5 GiB", "—"]
    assert wording.moment("2026-11-21T09:30:00+00:00") == "2026-11-21 09:30 UTC"
    assert wording.moment("yesterday") == "yesterday"
    assert wording.join(["a", "b", "c"]) == "a, b and c"


def test_flops_have_a_prefix() -> None:
    given = [None, 0, 12, 4.2e3, 3.2e15, 9.996e14, 2e21]
    assert [wording.flops(value) for value in given] == [
        "—",
        "0 FLOP",
        "12.0 FLOP",
        "4.20 kFLOP",
        "3.20 PFLOP",
        "1.00 PFLOP",
        "2\u202f000 EFLOP",
    ]


def test_a_heading_says_which_way_is_better() -> None:
    measure = Measure(name="exact_match", split="forget", value=0.5, count=2, direction="down")
    assert wording.heading(measure) == "forget · exact match ↓"


def test_a_long_name_is_cut_with_a_mark() -> None:
    assert wording.shortened("abcde", 5) == "abcde"
    assert wording.shortened("abcdef", 5) == "abcd…"


def test_any_value_is_one_line() -> None:
    assert [wording.one_line(v) for v in (None, "a", {"b": [1, None]})] == ["—", "a", '{"b": [1, null]}']


def test_a_value_has_the_digits_of_its_interval_and_so_lies_within_it() -> None:
    start = Measure(name="probability", split="forget", value=0.002887, count=12, low=0.002838, high=0.002933)
    assert wording.with_interval(start) == "0.00289 (0.00284–0.00293)"
    hidden = Measure(name="probability", split="forget", value=0.00029, count=12, low=0.00027, high=0.00031)
    assert wording.with_interval(hidden) == "<0.001 (2.7·10⁻⁴–3.1·10⁻⁴)"
    near = Measure(name="probability", split="retain", value=0.99973, count=12, low=0.9996, high=0.99986)
    assert wording.with_interval(near) == "0.9997 (0.9996–0.9999)"
