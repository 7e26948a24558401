import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from forgetting.metrics.agreement import auc, kappa
from forgetting.metrics.statistics import seed_of
from tests.metrics.percentiles import percentiles

RNG = np.random.default_rng(0)
FIRST = [bool(v) for v in RNG.random(40) < 0.6]
SECOND = [bool(a ^ (u < 0.2)) for a, u in zip(FIRST, RNG.random(40), strict=True)]
SCORES = [float(v) for v in RNG.integers(0, 3, size=40)]
CLUSTERS = [f"c{n % 10}" for n in range(40)]


def resamples(key):
    names = sorted(set(CLUSTERS))
    rng = np.random.default_rng(seed_of(key))
    for row in rng.integers(0, len(names), size=(2000, len(names))):
        yield [n for pick in row for n, c in enumerate(CLUSTERS) if c == names[pick]]


def test_kappa_is_cohens_with_a_bootstrap_over_clusters():
    found = kappa(FIRST, SECOND, CLUSTERS, key="k")
    assert found.value == pytest.approx(cohen_kappa_score(FIRST, SECOND), rel=1e-12)
    drawn = []
    for chosen in resamples("k"):
        a, b = (np.array(x)[chosen] for x in (FIRST, SECOND))
        chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
        drawn.append(((a == b).mean() - chance) / (1 - chance))
    assert (found.low, found.high) == pytest.approx(np.percentile(drawn, percentiles(len(set(CLUSTERS)))), rel=1e-9)


def test_where_both_always_say_the_same_there_is_no_kappa():
    found = kappa([True] * 4, [True] * 4, list("abcd"), key="k")
    assert (found.value, found.count) == (None, 4)
    assert "by chance" in found.reason
    assert kappa([], [], [], key="k").value is None


def test_a_constant_judge_agrees_as_by_chance():
    assert kappa([True] * 4, [True, False, True, False], list("abcd"), key="k").value == 0.0


@pytest.mark.parametrize("num", [39, 40, 57, 61])
def test_full_agreement_and_none_are_1_and_0_whatever_the_counts_and_need_no_interval(num):
    """Rounding made 1.000000000000004 of it, between 0.999999999999999 and 1.000000000000004."""
    first, names = [n % 3 == 0 for n in range(num)], [f"c{n}" for n in range(num)]
    same, never = kappa(first, first, names, key="k"), kappa(first, [True] * num, names, key="k")
    assert (same.value, same.low, same.high) == (1.0, None, None)
    assert (never.value, never.low, never.high) == (0.0, None, None)


def test_auc_counts_ties_half_and_resamples_clusters():
    found = auc(FIRST, SCORES, CLUSTERS, key="k")
    assert found.value == pytest.approx(roc_auc_score(FIRST, SCORES), rel=1e-12)
    drawn = []
    for chosen in list(resamples("k"))[:200]:
        up = [SCORES[n] for n in chosen if FIRST[n]]
        down = [SCORES[n] for n in chosen if not FIRST[n]]
        drawn.append(np.mean([(a > b) + 0.5 * (a == b) for a in up for b in down]))
    low, high = np.percentile(drawn, percentiles(len(set(CLUSTERS))))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.04)


def test_an_auc_of_few_facts_of_a_kind_is_known_as_badly_as_of_few():
    scores, names = [float(v) for v in np.random.default_rng(1).normal(size=60)], [f"{n:02}" for n in range(60)]
    found = auc([n < 3 for n in range(60)], scores, names, key="k")
    values = []
    for row in np.random.default_rng(seed_of("k")).integers(0, 60, size=(2000, 60)):
        up, down = ([scores[n] for n in row if bool(n < 3) is kind] for kind in (True, False))
        if up:
            values.append(np.mean([a > b for a in up for b in down]))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, percentiles(3))), abs=0.01)
    assert auc([n < 1 for n in range(60)], scores, names, key="k").low is None


def test_of_facts_of_one_kind_there_is_no_auc():
    assert auc([True, True], [0.0, 1.0], ["a", "b"], key="k").value is None
