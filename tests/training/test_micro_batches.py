"""A step is cut where padding saved pays for another forward; pairs stay together; out of memory, parts get smaller."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from forgetting.core.batch import Batch
from forgetting.data.encode import Encoded
from forgetting.training.micro_batches import MicroBatches, cheapest_cuts, pass_tokens

LENGTHS = {"forget": [12, 3, 3, 3, 3, 3, 3, 3], "retain": [6, 6, 5, 4, 4, 4, 4, 4]}


def encoded(lengths: Mapping[str, list[int]]) -> dict[str, list[Encoded]]:
    return {role: [Encoded("", (1,) * n, (0.0,) + (1.0,) * (n - 1)) for n in some] for role, some in lengths.items()}


def cutting(lengths: Mapping[str, list[int]], size: int | None = None, **how: Any) -> MicroBatches:
    how = {"partners": {}, "pad_id": 0, "packed": False, "pass_tokens": 0, **how}
    return MicroBatches(encoded(lengths), size, **how)


def made(
    lengths: Mapping[str, list[int]], size: int | None = None, limit: int | None = None, **how: Any
) -> list[Batch]:
    cut = cutting(lengths, size, **how)
    cut.tokens = limit or cut.tokens
    return cut.of({role: list(range(len(some))) for role, some in lengths.items()})


def tokens(batches: list[Batch]) -> list[int]:
    """Of each forward, padding included."""
    return [batch.input_ids_BT.numel() for batch in batches]


def held(batch: Batch, role: str) -> list[int]:
    return list(batch.indices_S[batch.roles[role].sequences]) if role in batch.roles else []


@pytest.mark.parametrize("packed", [False, True])
def test_every_example_is_in_one_part_and_a_size_counts_examples_of_a_role(packed: bool) -> None:
    for size, parts in ((8, 1), (4, 2), (3, 3), (1, 8)):
        batches = made(LENGTHS, size, packed=packed)
        assert len(batches) == parts and all((b.position_ids_BT is not None) == packed for b in batches)
        for role in LENGTHS:
            assert sorted(i for b in batches for i in held(b, role)) == list(range(8))
            assert max(len(held(b, role)) for b in batches) <= size


def test_parts_of_a_size_hold_rows_of_similar_length() -> None:
    assert tokens(made(LENGTHS, 4)) == [8 * 4, 8 * 12]  # in the order given: 8 · 12 and 8 · 4 or more
    assert held(made(LENGTHS, 4)[0], "forget") == [1, 2, 3, 4]


def test_a_step_that_is_not_cut_keeps_the_order_of_its_examples() -> None:
    for how in ({"size": 8}, {"pass_tokens": 10_000}):
        (batch,) = made(LENGTHS, **how)
        assert {role: held(batch, role) for role in batch.roles} == {role: list(range(8)) for role in LENGTHS}


def test_cuts_cost_least_of_all_that_there_are() -> None:
    draw = random.Random(0)
    for _ in range(200):
        count = draw.randrange(1, 9)
        longest = sorted(draw.choices(range(1, 30), k=count))
        rows = draw.choices((1, 2), k=count)
        each, most = draw.choice((0, 1, 5, 20, 200)), draw.choice((10, 40, 10_000))

        def cost(cuts: tuple[int, ...]) -> float:
            total = 0.0
            for a, b in itertools.pairwise((0, *cuts, count)):  # noqa: B023
                padded = longest[b - 1] * sum(rows[a:b])  # noqa: B023
                total += padded + each if padded <= most or b - a == 1 else float("inf")  # noqa: B023
            return total

        every = [c for n in range(count) for c in itertools.combinations(range(1, count), n)]
        found = cheapest_cuts(longest, rows, each, most)
        assert cost(tuple(found)) == min(map(cost, every))


def test_padding_is_cut_where_it_costs_more_than_a_forward() -> None:
    assert tokens(made(LENGTHS, pass_tokens=0)) == [7 * 3, 5 * 4, 5, 2 * 6, 12]  # no padding at all
    assert tokens(made(LENGTHS, pass_tokens=20)) == [15 * 6, 12] or sum(tokens(made(LENGTHS, pass_tokens=20))) < 110
    assert tokens(made(LENGTHS, pass_tokens=200)) == [16 * 12]


@pytest.mark.parametrize("limit", [1, 12, 24, 48, 191])
def test_no_forward_has_more_tokens_than_allowed_unless_one_example_has(limit: int) -> None:
    padded, packed = made(LENGTHS, limit=limit, pass_tokens=1_000), made(LENGTHS, limit=limit, packed=True)
    for batches in (padded, packed):
        assert all(n <= limit or len(b.indices_S) <= 2 for n, b in zip(tokens(batches), batches, strict=True))
    assert len(padded) > 1


@pytest.mark.parametrize("limit", [40, 60, 83, 84, 200])
def test_packed_steps_have_as_few_parts_as_fit(limit: int) -> None:
    batches = made(LENGTHS, limit=limit, packed=True)
    assert max(tokens(batches)) <= limit
    if len(batches) > 1:  # and with fewer parts one would not fit
        assert max(tokens(made(LENGTHS, -(-8 // (len(batches) - 1)), packed=True))) > limit


def test_pairs_stay_together_and_are_as_long_as_their_longer_half() -> None:
    lengths = {"forget": [3, 20, 4, 5], "alternate": [18, 4, 4, 6], "retain": [4, 5, 19]}
    for how in ({"pass_tokens": 0}, {"size": 2}, {"size": 1}, {"limit": 30, "pass_tokens": 50}):
        batches = made(lengths, partners={"alternate": "forget"}, **how)
        assert len(batches) > 1
        for batch in batches:
            assert held(batch, "forget") == held(batch, "alternate")
        assert sorted(i for b in batches for i in held(b, "forget")) == [0, 1, 2, 3]
        assert sorted(i for b in batches for i in held(b, "retain")) == [0, 1, 2]


def test_processes_have_equally_many_each_with_a_share_of_every_role() -> None:
    for count, each in ((2, 10_000), (3, 10_000), (4, 10_000), (2, 0)):
        batches = made(LENGTHS, pass_tokens=each, processes=count)
        assert len(batches) % count == 0 and (each == 0 or len(batches) == count)
        assert all(held(b, role) for b in batches for role in LENGTHS)
        for role in LENGTHS:
            assert sorted(i for b in batches for i in held(b, role)) == list(range(8))
    alike = {"forget": [4] * 8, "retain": [4] * 8}

    def sizes(size: int | None, processes: int, examples: int = 8) -> list[int]:
        some = {role: lengths[:examples] for role, lengths in alike.items()}
        return [len(held(b, "forget")) for b in made(some, size, processes=processes, pass_tokens=64)]

    assert sizes(None, 1) == [8] and sizes(None, 2) == [4, 4] and sizes(3, 2) == [2, 2, 2, 2]
    assert sizes(2, 2) == [2, 2, 2, 2] == sizes(2, 1) and sizes(None, 3) == [3, 3, 2]
    assert sizes(None, 2, examples=1) == [1] and sizes(1, 2, examples=3) == [1, 1, 1]


def test_parts_get_smaller_until_they_hold_one_example_of_a_role() -> None:
    picks = {role: list(range(8)) for role in LENGTHS}
    for size in (None, 8):
        cut = cutting(LENGTHS, size, pass_tokens=10_000)
        largest = [max(tokens(cut.of(picks)))]
        while cut.halve(cut.of(picks)):
            largest.append(max(tokens(cut.of(picks))))
        assert largest == sorted(largest, reverse=True) and largest[0] == 192
        assert largest[-1] == (12 if size is None else 24)
        assert max(len(held(b, r)) for b in cut.of(picks) for r in LENGTHS) == 1
        again = cutting(LENGTHS, size, pass_tokens=10_000)
        again.restore(cut.room())
        assert tokens(again.of(picks)) == tokens(cut.of(picks))


def test_a_forward_costs_more_tokens_on_an_accelerator() -> None:
    assert pass_tokens(torch.device("cpu")) < pass_tokens(torch.device("cuda"))
