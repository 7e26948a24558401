"""What part of an axis is drawn."""

from forgetting.report.sweep.scale import P_FLOOR, drawn_range


def test_p_values_go_by_powers_of_ten_down_to_a_floor() -> None:
    assert drawn_range([1e-3, 1.0], True) == (1e-3 / 3, 3.0, True)
    assert drawn_range([0.0, 1.0], True)[0] == P_FLOOR / 3


def test_what_spans_much_goes_by_powers_of_ten_and_shares_do_not() -> None:
    assert drawn_range([10.0, 1000.0])[2] and not drawn_range([0.001, 1.0])[2]
    low, high, log = drawn_range([10.0, 20.0])
    assert low < 10 and high > 20 and not log
