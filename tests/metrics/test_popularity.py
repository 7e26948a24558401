import math

import numpy as np
import pytest

from forgetting.metrics.popularity import by_popularity, clusters_of
from tests.metrics.making import record


def fact(n, *, popularity, said=True, p=0.5, answer=None, kind="country", **fields):
    right = answer or f"Place {n}"
    return record(
        str(n),
        p=p,
        popularity=popularity,
        answer=right,
        generation=right if said else "something else",
        kind=kind,
        **fields,
    )


def effects(after, before, split="forget"):
    (found,) = by_popularity({split: after}, None if before is None else {split: before}, [split])
    return found, {effect.outcome: effect for effect in found.effects}


def test_the_share_forgotten_is_taken_by_halves_and_per_tenfold():
    before = [fact(n, popularity=10.0**n) for n in range(1, 5)]
    after = [fact(n, popularity=10.0**n, said=n > 2) for n in range(1, 5)]
    found, named = effects(after, before)
    forgotten = named["forgotten"]
    assert (forgotten.rare.value, forgotten.popular.value) == (1.0, 0.0)
    assert forgotten.difference.value == -1.0
    assert forgotten.slope.value == pytest.approx(np.polyfit([1, 2, 3, 4], [1, 1, 0, 0], 1)[0])
    assert found.median == pytest.approx(np.median([10, 100, 1000, 10000]))


def test_the_part_of_a_probability_that_is_lost_does_not_depend_on_how_large_it_was():
    before = [fact(1, popularity=1, p=0.8), fact(2, popularity=100, p=0.02)]
    after = [fact(1, popularity=1, p=0.2), fact(2, popularity=100, p=0.005)]
    _, named = effects(after, before)
    assert named["probability_lost"].rare.value == pytest.approx(0.75)
    assert named["probability_lost"].popular.value == pytest.approx(0.75)


def test_a_gained_probability_is_a_negative_loss():
    _, named = effects(
        [fact(1, popularity=1, p=0.4), fact(2, popularity=9, p=0.1)],
        [fact(1, popularity=1, p=0.1), fact(2, popularity=9, p=0.4)],
    )
    assert named["probability_lost"].rare.value == pytest.approx(-0.75)
    assert named["probability_lost"].popular.value == pytest.approx(0.75)


def test_facts_that_the_model_did_not_say_before_cannot_be_forgotten():
    before = [fact(n, popularity=n, said=n != 1) for n in range(1, 4)]
    after = [fact(n, popularity=n, said=False) for n in range(1, 4)]
    found, named = effects(after, before)
    assert found.unknown == 1
    assert named["forgotten"].slope.count == 2


def test_records_without_a_popularity_are_counted_and_left_out():
    given = [fact(n, popularity=p) for n, p in enumerate([None, 0, 5, 50])]
    found, named = effects(given, given)
    assert found.left_out == 2
    assert named["forgotten"].slope.count == 2


def test_a_popularity_without_bound_has_no_logarithm_and_is_left_out() -> None:
    given = [fact(n, popularity=p) for n, p in enumerate([math.inf, 5, 50, 500])]
    found, named = effects(given, given)
    assert (found.left_out, found.median, named["forgotten"].slope.count) == (1, 50, 3)
    assert all(math.isfinite(x) for series in found.series for x in series.x)


def test_records_of_one_popularity_or_of_none_have_no_effects():
    for popularity in (None, 7.0):
        given = [fact(n, popularity=popularity) for n in range(3)]
        assert by_popularity({"forget": given}, {"forget": given}, ["forget"]) == ()


def test_generation_and_probability_disagree_where_one_says_that_a_fact_is_gone():
    before = [fact(n, popularity=n + 1, p=0.8) for n in range(4)]
    after = [
        fact(0, popularity=1, p=0.1, said=False),  # both gone
        fact(1, popularity=2, p=0.1),  # still said
        fact(2, popularity=3, p=0.7, said=False),  # still likely
        fact(3, popularity=4, p=0.7),  # neither gone
    ]
    _, named = effects(after, before)
    assert named["disagreement"].rare.value == 0.5
    assert named["disagreement"].popular.value == 0.5


def test_an_effect_of_the_answer_is_none_among_facts_of_one_answer():
    """Popular facts are about one country, and that country is forgotten: popularity itself does nothing."""
    before = [fact(n, popularity=1 + n, answer="India" if n >= 10 else "Chad") for n in range(20)]
    after = [fact(n, popularity=1 + n, answer="India" if n >= 10 else "Chad", said=n < 10) for n in range(20)]
    _, named = effects(after, before)
    assert named["forgotten"].difference.value == 1.0
    assert named["forgotten"].slope.value > 0.5
    assert named["forgotten"].matched_slope.value == pytest.approx(0.0, abs=1e-12)
    assert named["forgotten"].matched_difference.value is None


def test_facts_of_one_answer_are_one_cluster_however_it_is_written():
    found = clusters_of([fact(1, popularity=1, answer="India"), fact(2, popularity=1, answer="india.")])
    assert found[0] == found[1]


def test_without_a_model_before_what_is_known_is_taken():
    found, named = effects([fact(1, popularity=1, said=False), fact(2, popularity=9)], None)
    assert not found.changes
    assert [*named] == ["probability", "rouge_l_recall", "exact_match"]
    assert named["exact_match"].difference.value == 1.0


def test_records_without_an_answer_of_the_model_still_have_their_probability():
    before = [record(str(n), p=0.8, popularity=n + 1.0) for n in range(4)]
    after = [record(str(n), p=0.8 if n > 1 else 0.2, popularity=n + 1.0) for n in range(4)]
    found, named = effects(after, before)
    assert found.unknown == 0
    assert named["forgotten"].slope.value is None
    assert named["forgotten"].slope.reason
    assert named["probability_lost"].difference.value == pytest.approx(-0.75)


def test_the_figure_has_every_fact_in_one_bin():
    before = [fact(n, popularity=2.0**n, said=n > 6) for n in range(12)]
    found, _ = effects(before, before)
    series = {(s.figure, s.name): s for s in found.series}
    assert {*series} == {(m, p) for m in ("probability", "rouge_l_recall", "exact_match") for p in ("before", "after")}
    line = series["exact_match", "after"]
    assert list(line.x) == sorted(line.x)
    assert len(line.x) == 6
    assert np.mean(line.y) == pytest.approx(5 / 12)
    assert line.x[0] == pytest.approx(2**0.5)
