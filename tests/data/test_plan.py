"""Which examples a step sees is a function of the seed and the step alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetting.core.errors import DataError
from forgetting.data.plan import StepPlan, split

plans = st.builds(
    lambda forget, retain, batch_size, seed: StepPlan(
        {"forget": forget, "retain": retain, "alternate": 3}, batch_size, seed
    ),
    st.integers(1, 30),
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(0, 5),
)
sources = st.lists(st.integers(1, 9), min_size=2, max_size=4)
indices = st.lists(st.integers(0, 99), min_size=1, max_size=9)


@settings(deadline=None)
@given(plan=plans, epoch=st.integers(0, 3))
def test_an_epoch_sees_every_example_of_the_first_role_once(plan: StepPlan, epoch: int) -> None:
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    seen = [i for step in steps for i in plan.at(step)["forget"]]
    assert sorted(seen) == list(range(plan.sizes["forget"]))
    assert all(1 <= len(plan.at(step)["forget"]) <= plan.batch_size for step in steps)


@settings(deadline=None)
@given(plan=plans, steps=st.integers(1, 20))
def test_the_other_roles_go_round_one_for_one(plan: StepPlan, steps: int) -> None:
    picks = [plan.at(step) for step in range(steps)]
    if plan.sizes["forget"] >= plan.batch_size:
        assert all(len(p["retain"]) == len(p["forget"]) == len(p["alternate"]) for p in picks)
    drawn = [i for p in picks for i in p["retain"]]
    size = plan.sizes["retain"]
    for start in range(0, len(drawn) - size + 1, size):
        assert sorted(drawn[start : start + size]) == list(range(size))
    counts = Counter(drawn).values()
    assert max(counts) - min([*counts, 0] if len(counts) < size else counts) <= 1


@pytest.mark.parametrize(
    ("forget", "retain", "beside"), [(1, 40, 32), (12, 40, 32), (12, 20, 20), (12, 5, 12), (32, 40, 32), (40, 40, 32)]
)
def test_beside_fewer_examples_than_a_batch_the_others_fill_one(forget: int, retain: int, beside: int) -> None:
    plan = StepPlan({"forget": forget, "retain": retain}, 32, 0)
    first = plan.at(0)
    assert (len(first["forget"]), len(first["retain"])) == (min(forget, 32), beside)
    if forget == 1:
        assert sorted(first["retain"] + plan.at(1)["retain"][:8]) == list(range(40))  # they go round


@settings(deadline=None)
@given(plan=plans, step=st.integers(0, 50))
def test_a_step_is_the_same_whatever_was_asked_before(plan: StepPlan, step: int) -> None:
    again = StepPlan(dict(plan.sizes), plan.batch_size, plan.seed)
    for earlier in range(step):
        plan.at(earlier)
    assert plan.at(step) == again.at(step)


def test_the_seed_and_the_epoch_change_the_order() -> None:
    orders = {tuple(StepPlan({"train": 30}, 30, seed).at(epoch)["train"]) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_roles_of_one_size_are_not_in_the_same_order() -> None:
    picks = StepPlan({"forget": 30, "retain": 30}, 30, 0).at(0)
    assert picks["forget"] != picks["retain"]


@settings(deadline=None)
@given(
    size=st.integers(1, 20), batch_size=st.integers(1, 9), seed=st.integers(0, 5), step=st.integers(0, 30),
    parts=st.integers(1, 5),
)  # fmt: skip
def test_a_partner_gives_the_same_examples_in_every_micro_batch(
    size: int, batch_size: int, seed: int, step: int, parts: int
) -> None:
    sizes = {"forget": size, "alternate": size, "retain": 7}
    plan = StepPlan(sizes, batch_size, seed, {"forget": "alternate"})
    picks = plan.at(step)
    assert list(picks) == ["forget", "alternate", "retain"]
    assert all(part.get("forget") == part.get("alternate") for part in split(picks, parts))
    alone = StepPlan({"forget": size, "retain": 7}, batch_size, seed).at(step)
    assert {role: picks[role] for role in alone} == alone
    second = StepPlan({"retain": 7, **sizes}, batch_size, seed, {"forget": "alternate"}).at(step)
    assert second["forget"] == second["alternate"]


def test_halves_of_unequal_numbers_cannot_be_paired() -> None:
    with pytest.raises(DataError, match="3 forget and 4 alternate examples cannot be paired; give one for each"):
        StepPlan({"forget": 3, "alternate": 4}, 2, 0, {"forget": "alternate"})


def test_an_empty_role_is_refused() -> None:
    with pytest.raises(DataError, match="the retain set is empty"):
        StepPlan({"forget": 3, "retain": 0}, 2, 0)


@given(
    picks=st.builds(lambda forget, retain: {"forget": forget, "retain": retain}, indices, indices),
    parts=st.integers(1, 12),
)
def test_micro_batches_hold_the_step_s_examples_in_order(picks: dict[str, list[int]], parts: int) -> None:
    micro = split(picks, parts)
    assert len(micro) <= parts and all(all(part.values()) and part for part in micro)
    for role, members in picks.items():
        pieces = [part.get(role, []) for part in micro]
        assert [i for piece in pieces for i in piece] == members
        assert max(map(len, pieces)) <= -(-len(members) // parts)


@settings(deadline=None)
@given(sizes=sources, steps=st.integers(1, 12), seed=st.integers(0, 3))
def test_several_sources_give_an_example_each_in_turn_and_go_round_by_themselves(
    sizes: list[int], steps: int, seed: int
) -> None:
    places = iter(np.random.default_rng(seed).permutation(sum(sizes)).tolist())
    turns = [[next(places) for _ in range(size)] for size in sizes]
    plan = StepPlan({"forget": 9, "retain": sum(sizes)}, 4, seed, turns={"retain": turns})
    drawn = [i for step in range(steps) for i in plan.at(step)["retain"]]
    source_of = {i: n for n, source in enumerate(turns) for i in source}
    assert [source_of[i] for i in drawn] == [n % len(sizes) for n in range(len(drawn))]
    for number, source in enumerate(turns):
        own = drawn[number :: len(sizes)]
        for start in range(0, len(own) - len(source) + 1, len(source)):
            assert sorted(own[start : start + len(source)]) == sorted(source)


def test_one_source_is_drawn_as_without_turns() -> None:
    plain = StepPlan({"forget": 7, "retain": 11}, 3, 5)
    one = StepPlan({"forget": 7, "retain": 11}, 3, 5, turns={"retain": [list(range(11))]})
    assert [plain.at(s) for s in range(20)] == [one.at(s) for s in range(20)]
