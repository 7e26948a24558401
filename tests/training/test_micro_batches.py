"""A step is cut into as few forwards as its tokens allow, whether rows are padded or shared."""

from __future__ import annotations

import pytest

from forgetting.core.batch import Batch
from forgetting.data.encode import Encoded
from forgetting.training import micro_batches

LENGTHS = {"forget": [12, 3, 3, 3, 3, 3, 3, 3], "retain": [6, 6, 5, 4, 4, 4, 4, 4]}
DATA = {role: [Encoded("", (1,) * n, (0.0,) + (1.0,) * (n - 1)) for n in lengths] for role, lengths in LENGTHS.items()}
PICKS = {role: list(range(8)) for role in DATA}


def made(size: int | None, *, packed: bool) -> list[Batch]:
    return micro_batches.micro_batches(PICKS, DATA, size, pad_id=0, packed=packed)


def tokens(batches: list[Batch]) -> list[int]:
    """Of each forward, padding included."""
    return [batch.input_ids_BT.numel() for batch in batches]


@pytest.mark.parametrize("packed", [False, True])
def test_every_example_is_in_one_part_and_a_size_counts_examples_of_a_role(packed: bool) -> None:
    for size, parts in ((8, 1), (4, 2), (3, 3), (1, 8)):
        batches = made(size, packed=packed)
        assert len(batches) == parts and all((b.position_ids_BT is not None) == packed for b in batches)
        for role in DATA:
            held = [i for b in batches for i in b.indices_S[b.roles[role].sequences]]
            assert held == PICKS[role] and max(len(b.indices_S[b.roles[role].sequences]) for b in batches) <= size


@pytest.mark.parametrize(("limit", "parts"), [(1, 8), (24, 8), (48, 4), (191, 2), (192, 1)])
def test_without_a_size_padded_rows_are_dealt_out_by_their_tokens(
    limit: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batches, "MICRO_BATCH_TOKENS", limit)
    assert len(made(None, packed=False)) == parts


@pytest.mark.parametrize("limit", [1, 24, 40, 60, 83, 84, 200])
def test_without_a_size_no_packed_forward_has_more_tokens_than_allowed(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batches, "MICRO_BATCH_TOKENS", limit)
    batches = made(None, packed=True)
    assert len(batches) == 8 or max(tokens(batches)) <= limit
    if len(batches) > 1:  # and with fewer parts one would
        assert max(tokens(made(-(-8 // (len(batches) - 1)), packed=True))) > limit


def test_packed_rows_need_fewer_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens(made(8, packed=False)) == [192] and tokens(made(8, packed=True)) == [84]
    monkeypatch.setattr(micro_batches, "MICRO_BATCH_TOKENS", 84)
    assert [len(made(None, packed=packed)) for packed in (False, True)] == [3, 1]
