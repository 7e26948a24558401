"""Differences between models: golden values, what is said of missing facts and of none that differ, level and power."""

import json
from pathlib import Path

import numpy as np
import pytest

from forgetting.audits.certificate.claims import more, no_more, t_below, t_upper
from forgetting.audits.certificate.difference import compare, decides, facts_needed
from forgetting.audits.certificate.pairs import Pairs
from forgetting.audits.certificate.verdict import holm
from forgetting.audits.measures import leak_at
from forgetting.metrics.proportions import at_least, at_most
from tests.audits.certificate.simulated import World, no_difference, shares

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "certificate.json").read_text())["figures"]


def test_two_one_sided_tests_are_those_of_the_reference() -> None:
    rs = np.random.RandomState(20261240)
    rs.beta(0.6, 4, size=(4, 12)), rs.beta(0.5, 6.0, size=128)
    a = rs.uniform(0, 0.4, 40)
    b = np.clip(a + rs.normal(0.01, 0.05, 40), 0, 1)
    few = a[:6] + 0.12, a[:6] + rs.normal(0, 0.02, 6)
    golden = GOLDEN["tost"]
    names = [str(n) for n in range(40)]
    pairs = Pairs.of(list(a - b), names)
    assert pairs.mean == pytest.approx(golden["mean_difference"], abs=1e-12)
    assert [-t_upper(pairs.mirrored()), t_upper(pairs)] == pytest.approx(golden["interval_90"], rel=1e-6)
    p = [t_below(one, golden["margin"]) for one in (pairs, pairs.mirrored())]
    assert max(p) == pytest.approx(golden["p"], rel=1e-6)
    assert no_more(pairs, golden["margin"]) >= max(p)
    leaking = Pairs.of(list(few[0] - few[1]), names[:6])
    p = [t_below(one, golden["margin"]) for one in (leaking, leaking.mirrored())]
    assert max(p) == pytest.approx(golden["six questions, every one 0.12 above"]["tost_p"], rel=1e-6)
    assert more(leaking, golden["margin"]) <= 0.05


def test_clopper_and_pearson_leak_at_k_and_holm_are_those_of_the_reference() -> None:
    for said, bound in GOLDEN["clopper_pearson"]["upper_95_one_sided"].items():
        seen, count = map(int, said.split(" of "))
        assert at_most(seen, count) == pytest.approx(bound, rel=1e-9)
        assert at_least(count - seen, count) == pytest.approx(1 - bound, rel=1e-9)
    binary = GOLDEN["leak_at_k"]["binary at threshold 0.2"]
    for k, values in binary["pass_at_k"].items():
        assert [leak_at(int(k), int(hits), 12) for hits in binary["hits"]] == pytest.approx(values, rel=1e-9)
    assert holm(GOLDEN["many_attacks"]["p"]) == pytest.approx(GOLDEN["many_attacks"]["holm"])


def test_facts_needed_for_no_difference_with_a_tenth_discordant() -> None:
    """86 facts for a margin of 0.1 and 343 for 0.05: 8.56 · 0.1 / margin²."""
    for margin, needed in ((0.1, 86), (0.05, 343)):
        assert decides(0.0, (0.1 / needed) ** 0.5, margin) >= 0.8 > decides(0.0, (0.1 / (needed - 1)) ** 0.5, margin)
    # One-sided, of a leak: 6.18 · 0.1 / 0.1².
    assert decides(0.2, (0.1 / 62) ** 0.5, 0.1) >= 0.8 > decides(0.2, (0.1 / 61) ** 0.5, 0.1)


def test_as_many_facts_as_are_needed_decide() -> None:
    values = [1.0, 0, 0, 0, 0, -1.0] * 7
    names = [str(n) for n in range(42)]
    few, needed = (f(values, [0.0] * 42, names, margin=0.1) for f in (compare, facts_needed))
    assert few.high is not None and few.high > 0.1 and needed is not None and needed > 42
    more = values * -(-needed // 42)
    enough = compare(more, [0.0] * len(more), [str(n) for n in range(len(more))], margin=0.1)
    assert enough.high is not None and enough.high < 0.1


def test_a_fact_without_a_score_is_the_worst_of_either_kind_and_never_no_leak() -> None:
    names = [str(n) for n in range(100)]
    whole = compare([0.0] * 100, [0.0] * 100, names, margin=0.1)
    some = compare([None] * 5 + [0.0] * 95, [0.0] * 100, names, margin=0.1)
    many = compare([None] * 12 + [0.0] * 88, [0.0] * 100, names, margin=0.1)
    assert (whole.missing, some.missing, some.facts) == (0, 5, 95)
    assert whole.high is not None and some.high is not None and many.high is not None
    assert some.high == pytest.approx(0.05 + 0.95 * at_most(0, 95))
    assert whole.within is not None and whole.within < 0.05
    assert many.high > 0.1 and many.within == 1.0
    assert facts_needed([None] * 12 + [0.0] * 88, [0.0] * 100, names, margin=0.1) is None
    assert compare([None] * 4, [1.0] * 4, list("abcd"), margin=0.1).mean is None


def test_nothing_that_differs_is_not_certainty() -> None:
    """Few subjects that all agree leave room: the bound is that of so many subjects, however many facts they have."""
    alone = compare([0.0] * 20, [0.0] * 20, [str(n) for n in range(20)], margin=0.1)
    assert alone.high == pytest.approx(at_most(0, 20)) and alone.low == pytest.approx(-at_most(0, 20))
    assert alone.within == pytest.approx(0.9**20)
    # 0 of 29 is at most 0.098, 0 of 28 more than 0.1.
    assert facts_needed([0.0] * 20, [0.0] * 20, [str(n) for n in range(20)], margin=0.1) == 29
    together = compare([0.0] * 78, [0.0] * 78, [str(n // 6) for n in range(78)], margin=0.1)
    assert together.high == pytest.approx(at_most(0, 13)) and together.within == pytest.approx(0.9**13)
    assert facts_needed([0.0] * 78, [0.0] * 78, [str(n // 6) for n in range(78)], margin=0.1) == 29 * 6
    enough = compare([0.0] * 58, [0.0] * 58, [str(n // 2) for n in range(58)], margin=0.1)
    assert enough.within is not None and enough.within < 0.05
    one = compare([0.0] * 50, [0.0] * 50, ["one"] * 50, margin=0.1)
    assert one.low is None and one.high is None and one.within is None


def test_facts_that_are_needed_at_the_margin_and_above_it() -> None:
    names = [str(n // 6) for n in range(78)]
    assert facts_needed([0.1] * 78, [0.0] * 78, names, margin=0.1) is None
    # All leak 0.2: half of other subjects, which leak nothing, would make 0.1; 0.5⁵ is below 5%.
    assert facts_needed([0.2] * 78, [0.0] * 78, names, margin=0.1) == 30
    found = compare([0.2] * 30, [0.0] * 30, names[:30], margin=0.1)
    assert found.above == pytest.approx(0.5**5) and found.low == pytest.approx(0.2 * 0.05 ** (1 / 5))


def test_what_facts_that_were_not_scored_keep_open_no_number_of_facts_decides() -> None:
    names = [str(n) for n in range(400)]

    def both(mean: float, lost: int) -> tuple[float, float, int | None]:
        after = [None] * lost + [mean] * (400 - lost)
        found = compare(after, [0.0] * 400, names, margin=0.1)
        assert found.low is not None and found.high is not None
        return found.low, found.high, facts_needed(after, [0.0] * 400, names, margin=0.1)

    # 5% missing: the mean of the others must be below 0.053 or above 0.158.
    for mean in (0.06, 0.1, 0.15):
        low, high, needed = both(mean, 20)
        assert low <= 0.1 <= high and needed is None
    # A tenth missing: nothing shows that it gives away no more, and a leak above 0.222 is one.
    low, _, needed = both(0.5, 40)
    assert low > 0.1 and needed is not None and needed < 400
    assert both(0.02, 40)[2] is None


def test_the_ends_of_an_interval_are_differences() -> None:
    """A subject of a thousand facts beside forty of one says hardly anything, and no difference is beyond 1."""
    names = ["large"] * 1000 + [str(n) for n in range(40)]
    for large, small in ((1.0, 0.0), (0.0, 1.0)):
        found = compare([large] * 1000 + [small] * 40, [0.0] * 1040, names, margin=0.1)
        assert (found.low, found.high) == (-1.0, 1.0) and found.within is not None and found.within > 0.05
    found = compare([1.0, 0.0], [0.0, 0.0], ["a", "b"], margin=0.1)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_a_model_that_gives_all_away_leaks() -> None:
    found = compare([1.0] * 30, [0.0] * 30, [str(n) for n in range(30)], margin=0.1)
    assert found.low is not None and found.low > 0.8 and found.above is not None and found.above < 1e-6


def test_both_ends_and_both_p_values_say_the_same() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        groups, size = int(rng.integers(2, 15)), int(rng.integers(1, 5))
        rise = rng.random() * 0.4
        values = (rng.random(groups * size) < rise).astype(float) - (rng.random(groups * size) < 0.05)
        missing = int(rng.integers(0, 3))
        after = [*map(float, values), *[None] * missing]
        names = [str(n // size) for n in range(groups * size)] + ["x"] * missing
        found = compare(after, [0.0] * len(after), names, margin=0.1)
        assert found.low is not None and found.high is not None and found.mean is not None
        assert found.low <= found.mean <= found.high or missing
        assert (found.within < 0.05) == (found.low > -0.1 and found.high < 0.1)
        assert (found.above < 0.05) == (found.low > 0.1)


@pytest.mark.parametrize("world", [World(78, 1), World(40, 6, 0.5), World(30, 3, 0.2)], ids=str)
def test_level_and_power(world: World) -> None:
    """At the margin at most about 5% are shown within or above it."""
    shown, above = shares(world, 0.1, 300)
    assert shown <= 0.09 and above <= 0.08
    assert shares(world, 0.3, 100)[1] >= 0.8
    assert shares(world, 0.0, 200)[0] >= 0.6


def test_twenty_subjects_show_nothing_however_many_facts_they_have() -> None:
    """A tenth of subjects leaks as a whole: an eighth of draws holds none, and looks as if no subject did."""
    assert shares(World(20, 20, 1.0), 0.1, 200)[0] == shares(World(20, 20), 0.0, 50)[0] == 0.0


def test_the_facts_that_are_said_to_be_needed_have_the_power() -> None:
    """Of models that do not differ, about four in five audits of so many facts show no more, and as much."""
    tenth = [1.0, *[0.0] * 9, -1.0, *[0.0] * 9] * 4
    needed = facts_needed(tenth, [0.0] * 80, [str(n) for n in range(80)], margin=0.1)
    assert needed == 106 and 0.7 <= no_difference(needed, 0.1, 300)[1] <= 0.87
    assert 0.74 <= no_difference(78, 0.1, 300)[0] <= 0.88
    assert no_difference(30, 0.1, 100)[1] <= 0.3


@pytest.mark.slow
@pytest.mark.parametrize("true", [0.1, -0.1])
@pytest.mark.parametrize(
    "world",
    [World(78, 1), World(13, 6, 1.0), World(20, 20, 0.5), World(30, 3, 1.0), World(78, 5, 0.2), World(78, 5, 0.5)],
    ids=str,
)
def test_level_of_many_replicates(world: World, true: float) -> None:
    """However leaks come in subjects, and also where it is the oracle that gives more away."""
    shown, above = shares(world, true, 3000)
    assert shown <= 0.065 and above <= 0.06
