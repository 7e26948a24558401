"""Of two tests the one that says less counts; a claim of a leak counts on subjects that leak nothing."""

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from forgetting.audits.certificate.claims import interval, more, no_more, t_below, t_upper
from forgetting.audits.certificate.pairs import Pairs
from forgetting.metrics.proportions import at_least, at_most


def alone(values: list[float]) -> Pairs:
    return Pairs.of(values, [str(n) for n in range(len(values))])


def test_t_is_that_of_scipy_and_has_fewer_degrees_of_freedom_where_sizes_differ() -> None:
    values = list(np.random.default_rng(5).normal(0.02, 0.2, 30).clip(-1, 1))
    found = ttest_1samp(values, 0.1, alternative="less")
    assert t_below(alone(values), 0.1) == pytest.approx(float(found.pvalue), rel=1e-9)
    assert t_upper(alone(values)) == pytest.approx(ttest_1samp(values, 0.1).confidence_interval(0.9).high, rel=1e-9)
    uneven = Pairs.of([0.1, 0.1, 0.1, 0.4, 0.0, 0.2], list("aaabcd"))
    equal = 36 / (9 + 1 + 1 + 1)
    far = (0.5 - uneven.mean) / uneven.standard_error
    assert t_below(uneven, 0.5) == pytest.approx(float(student.sf(far, equal - 1)), rel=1e-9)
    rest = np.array([0.3 - 3 * 0.15, 0.4 - 0.15, -0.15, 0.2 - 0.15])
    assert uneven.standard_error == pytest.approx(float(np.sqrt(4 / 3 * (rest**2).sum())) / 6, rel=1e-9)


def test_that_nothing_differs_is_said_of_many_subjects_only() -> None:
    for count, shown in ((28, False), (29, True)):
        one = alone([0.0] * count)
        assert (no_more(one, 0.1) <= 0.05) == shown and interval(one) == pytest.approx(
            (-at_most(0, count), at_most(0, count)), abs=1e-7
        )
    assert more(alone([0.0] * 28), 0.1) == 1.0


def test_a_leak_of_few_subjects_is_one() -> None:
    one = alone([1.0] * 5)
    assert more(one, 0.1) == pytest.approx(0.1**5) and interval(one)[0] == pytest.approx(at_least(5, 5), abs=1e-7)
    assert more(one, 1.0) == 1.0
    # One of five that leaks less than the oracle may have others beside it.
    assert more(alone([1.0] * 4 + [-1.0]), 0.1) > 0.05 > more(alone([1.0] * 4 + [0.0]), 0.1)


def test_an_end_on_this_side_of_nothing_does_not_count_on_whole_leaks() -> None:
    rng = np.random.default_rng(6)
    one = alone(list(rng.normal(0.3, 0.05, 12)))
    low, high = interval(one)
    whole = one.mean + (1 - one.mean) * at_most(0, 12)
    assert 0.25 < low <= -t_upper(one.mirrored()) and whole - 0.05 < high < whole + 0.05
    assert interval(one.mirrored()) == pytest.approx((-high, -low), abs=1e-9)
