"""Rare, popular and retained facts: by popularity alone, and matched by relation and answer."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetting.core.errors import DataError
from forgetting.forget_sets.facts.confounders import auc, confounders, cramers_v
from forgetting.forget_sets.facts.known import Asked
from forgetting.forget_sets.facts.splits import MATCHED, drawn, matched_split, plain_split
from tests.forget_sets.facts.worlds import asked

CONFOUNDED = [asked(f"Indian {i}", "country", "India", 1000 + i) for i in range(50)]
CONFOUNDED += [asked(f"Island {i}", "country", f"Isle {i % 5}", i) for i in range(50)]


def test_plain_splits_are_the_ends_and_the_middle() -> None:
    split = plain_split(CONFOUNDED[::-1], 5)
    assert [one.popularity for one in split.rare] == [0, 1, 2, 3, 4]
    assert [one.popularity for one in split.popular] == [1045, 1046, 1047, 1048, 1049]
    assert len(split.retain) == 90
    assert not {o.id for o in (*split.rare, *split.popular)} & {o.id for o in split.retain}


@pytest.mark.parametrize(
    ("percent", "said"), [(0, "above 0"), (51, "at most 50"), (0.5, "0.5% of 100 known facts is none")]
)
def test_a_percent_that_gives_no_split_is_refused(percent: float, said: str) -> None:
    with pytest.raises(DataError, match=said):
        plain_split(CONFOUNDED, percent)


def test_what_confounds_a_plain_split_is_gone_when_it_is_matched() -> None:
    facts = CONFOUNDED + [asked(f"Village {i}", "country", "India", i) for i in range(50)]
    plain = confounders(plain_split(facts, 10), facts)
    assert plain["popular"]["share_of_the_commonest_answer"] == 1.0
    assert plain["answer"]["v"] > 0.5 > plain["answer"]["by_chance"]
    split = matched_split(facts, 10)
    matched = confounders(split, facts)
    assert (len(split.rare), len(split.popular)) == (15, 15)
    assert matched["auc_of_popularity"] == 1.0
    assert matched["auc_of_the_answers_frequency"] == 0.5
    assert {one.answer for one in split.rare} == {"India"}
    assert not {one.answer for one in split.retain} & {"India"}
    assert {one.answer for one in split.same_answers} == {"India"}


def test_a_limit_on_one_answer_leaves_room_for_others() -> None:
    facts = [asked(f"{land} {i}", "country", land, i) for i in range(20) for land in ("A", "B", "C")]
    split = matched_split(facts, 10, most=2)
    assert Counter(one.answer for one in split.rare) == {"A": 2, "B": 2, "C": 2}


FACTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["country", "genre"]), st.sampled_from("xyz"), st.integers(0, 40)),
    min_size=10,
    max_size=60,
    unique_by=lambda one: one[:2],
)


@settings(max_examples=60, deadline=None)
@given(FACTS, st.sampled_from([10, 25, 50]), st.sampled_from([MATCHED, ("relation",), ("answer",)]))
def test_matched_sides_agree_are_apart_and_share_no_subject(rows: list, percent: float, keys: tuple) -> None:
    facts = [asked(f"S{s}", relation, answer, popularity) for s, relation, answer, popularity in rows]
    try:
        split = matched_split(facts, percent, keys)
    except DataError:
        return

    def cells(side: list[Asked]) -> Counter:
        return Counter(tuple(getattr(one, key) for key in keys) for one in side)

    assert cells(split.rare) == cells(split.popular)
    assert max(one.popularity for one in split.rare) < min(one.popularity for one in split.popular)
    assert len(split.rare) <= int(len(facts) * percent / 100)
    forget = [one.fact.subject.key for one in (*split.rare, *split.popular)]
    assert len(set(forget)) == len(forget)
    rest = [*split.retain, *split.same_answers]
    assert not {one.fact.subject.key for one in rest} & set(forget)
    assert not {o.answer for o in split.retain} & {o.answer for o in (*split.rare, *split.popular)}


def test_nothing_to_pair_is_said() -> None:
    with pytest.raises(DataError, match="no two known facts agree in relation and answer"):
        matched_split([asked(f"S{i}", "country", f"L{i}", i) for i in range(20)], 10)


def test_a_draw_keeps_the_order_and_depends_on_the_seed() -> None:
    some = drawn(CONFOUNDED, 10, 0)
    assert some == sorted(some, key=CONFOUNDED.index)
    assert len(some) == 10
    assert some != drawn(CONFOUNDED, 10, 1)
    assert {o.id for o in some} < {o.id for o in drawn(CONFOUNDED, 20, 0)}, "what was asked before is asked again"
    assert drawn(CONFOUNDED, 1000, 0) == CONFOUNDED


def test_cramers_v_is_that_of_two_known_tables() -> None:
    assert cramers_v(["a"] * 4 + ["b"] * 4, [0] * 4 + [1] * 4)["v"] == pytest.approx(1.0)
    # χ² of [[3, 1], [1, 3]] is 8 · (9 − 1)² / 4⁴ = 2, so V = √(2 / 8)
    assert cramers_v(["a", "a", "a", "b", "a", "b", "b", "b"], [0, 0, 0, 0, 1, 1, 1, 1])["v"] == pytest.approx(0.5)
    assert cramers_v(["a"] * 4, [0, 0, 1, 1]) == {"v": None, "by_chance": None}


def test_the_auc_counts_pairs_with_ties_half() -> None:
    assert auc([1, 2, 2, 3], [0, 0, 1, 1]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert auc([1, 2], [1, 1]) is None
