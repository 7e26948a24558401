"""Batches shift, pad and mark; no id tells what is padding."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetting.core.batch import Batch
from forgetting.data.batches import collate, packed_tokens
from forgetting.data.encode import Encoded
from tests.golden import figures


def row(ids: list[int], weights: list[float]) -> Encoded:
    return Encoded("k" + "-".join(map(str, ids)), tuple(ids), tuple(weights))


def numbered(*rows: Encoded) -> list[tuple[int, Encoded]]:
    return list(enumerate(rows))


def test_a_target_is_predicted_from_the_position_before_it() -> None:
    batch = collate(
        {
            "forget": [(7, row([5, 6, 7], [0, 1, 1]))],
            "retain": [(0, row([8, 9], [0, -2])), (3, row([1, 2, 3, 4], [0, 0, 0, 0.5]))],
        },
        pad_id=0,
    )
    assert batch.input_ids_BT.tolist() == [[5, 6, 7, 0], [8, 9, 0, 0], [1, 2, 3, 4]]
    assert batch.attention_mask_BT.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch.segment_ids_BT.tolist() == [[0, 0, 0, -1], [1, 1, -1, -1], [2, 2, 2, 2]]
    assert batch.sources_N.tolist() == [0, 1, 4, 10]
    assert batch.targets_N.tolist() == [6, 7, 9, 4]
    assert batch.weights_N.tolist() == [1, 1, -2, 0.5] and batch.weights_N.dtype == torch.float32
    assert batch.sequences_N.tolist() == [0, 0, 1, 2]
    assert (batch.keys_S, batch.indices_S) == (("k5-6-7", "k8-9", "k1-2-3-4"), (7, 0, 3))
    assert batch.roles["forget"].tokens == slice(0, 2) and batch.roles["retain"].tokens == slice(2, 4)
    assert batch.roles["forget"].rows == slice(0, 1) and batch.roles["retain"].rows == slice(1, 3)
    assert batch.position_ids_BT is None


def test_a_role_without_rows_is_absent() -> None:
    assert set(collate({"forget": [], "retain": numbered(row([1, 2], [0, 1]))}, pad_id=0).roles) == {"retain"}


members = st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 1.0, -0.5])), min_size=1), min_size=1)


@settings(deadline=None, max_examples=150)
@given(forget=members, retain=members, pad=st.integers(0, 4))
def test_the_batch_says_what_the_rows_say(forget: list, retain: list, pad: int) -> None:
    def made(drawn: list) -> list[tuple[int, Encoded]]:
        rows = [[(1, 0.0), *pairs, (3, 1.0)] for pairs in drawn]
        return numbered(*(row([i for i, _ in pairs], [w for _, w in pairs]) for pairs in rows))

    data = {"forget": made(forget), "retain": made(retain)}
    batch = collate(data, pad_id=pad)
    flat = [e for rows in data.values() for _, e in rows]
    expected = [(s, p) for s, e in enumerate(flat) for p in range(1, len(e.ids)) if e.weights[p]]
    width = batch.input_ids_BT.shape[1]
    assert batch.sources_N.tolist() == [s * width + p - 1 for s, p in expected]
    assert batch.sequences_N.tolist() == [s for s, _ in expected]
    assert batch.targets_N.tolist() == [flat[s].ids[p] for s, p in expected]
    assert batch.weights_N.tolist() == [flat[s].weights[p] for s, p in expected]
    lengths = batch.attention_mask_BT.sum(1).tolist()
    assert [tuple(ids[:n]) for ids, n in zip(batch.input_ids_BT.tolist(), lengths, strict=True)] == [
        e.ids for e in flat
    ]
    for role, span in batch.roles.items():
        assert [flat[s].key for s in range(span.sequences.start, span.sequences.stop)] == [e.key for _, e in data[role]]
        own = batch.sequences_N[span.tokens]
        assert own.min() >= span.sequences.start and own.max() < span.sequences.stop


def test_padding_that_is_the_end_token_hides_no_token() -> None:
    theirs = figures("traps")["collator_pad_is_eos"]
    rows = [row([1, 5, 2, 6, 7, 2], [0, 0, 0, 1, 1, 1]), row([1, 5, 6, 2], [0, 0, 1, 1])]
    batch = collate({"train": numbered(*rows)}, pad_id=2)
    assert batch.input_ids_BT.tolist() == theirs["input_ids"]
    assert batch.attention_mask_BT.tolist() == [[1] * 6, [1] * 4 + [0] * 2] != theirs["attention_mask"]
    supervised = [label for labels in theirs["labels"] for label in labels if label != -100]
    assert batch.targets_N.tolist() == supervised


def test_the_padding_id_changes_nothing_but_the_padding() -> None:
    rows = {"train": numbered(row([1, 5, 2], [0, 1, 1]), row([1, 2], [0, 1]))}
    one, other = collate(rows, pad_id=2), collate(rows, pad_id=9)
    for name in Batch.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if name == "input_ids_BT":
            keep = one.attention_mask_BT.bool()
            assert torch.equal(a[keep], b[keep]) and (a[~keep] == 2).all() and (b[~keep] == 9).all()
        else:
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_packed_examples_share_rows_and_keep_their_order() -> None:
    data = {
        "forget": [(7, row([5, 6], [0, 1])), (1, row([1, 2, 3, 4], [0, 1, 0, 1])), (2, row([8, 9], [0, -2]))],
        "retain": [(0, row([11, 12, 13], [0, 0, 1]))],
    }
    batch = collate(data, pad_id=0, packed=True)
    assert batch.input_ids_BT.tolist() == [[1, 2, 3, 4], [5, 6, 8, 9], [11, 12, 13, 0]]
    assert batch.segment_ids_BT.tolist() == [[1, 1, 1, 1], [0, 0, 2, 2], [3, 3, 3, -1]]
    assert batch.position_ids_BT is not None
    assert batch.position_ids_BT.tolist() == [[0, 1, 2, 3], [0, 1, 0, 1], [0, 1, 2, 0]]
    assert batch.sources_N.tolist() == [4, 0, 2, 6, 9]
    assert batch.targets_N.tolist() == [6, 2, 4, 9, 13]
    assert batch.sequences_N.tolist() == [0, 1, 1, 2, 3]
    assert batch.indices_S == (7, 1, 2, 0)
    assert batch.roles["forget"].rows == slice(0, 2) and batch.roles["retain"].rows == slice(2, 3)


lengths = st.lists(st.integers(2, 9), min_size=1, max_size=12)


@settings(deadline=None, max_examples=150)
@given(forget=lengths, retain=lengths)
def test_packing_moves_the_examples_and_nothing_else(forget: list[int], retain: list[int]) -> None:
    def made(sizes: list[int], first: int) -> list[tuple[int, Encoded]]:
        return numbered(*(row(list(range(first, first + n)), [0.0] + [1.0] * (n - 1)) for n in sizes))

    data = {"forget": made(forget, 1), "none": [], "retain": made(retain, 40)}
    padded, packed = collate(data, pad_id=0), collate(data, pad_id=0, packed=True)
    for name in ("targets_N", "weights_N", "sequences_N"):
        assert torch.equal(getattr(padded, name), getattr(packed, name)), name
    assert (padded.keys_S, padded.indices_S) == (packed.keys_S, packed.indices_S)
    for role, span in packed.roles.items():
        assert (span.tokens, span.sequences) == (padded.roles[role].tokens, padded.roles[role].sequences)
        held = packed.segment_ids_BT[span.rows]
        assert set(held[held >= 0].tolist()) == set(range(span.sequences.start, span.sequences.stop))
    flat = [e.ids for rows in data.values() for _, e in rows]
    ids, segments, positions = packed.input_ids_BT, packed.segment_ids_BT, packed.position_ids_BT
    assert positions is not None
    for sequence, its in enumerate(flat):
        here = segments == sequence
        rows, columns = here.nonzero(as_tuple=True)
        assert len(set(rows.tolist())) == 1 and columns.tolist() == list(range(columns[0], columns[0] + len(its)))
        assert tuple(ids[here].tolist()) == its and positions[here].tolist() == list(range(len(its)))
    assert (positions[segments < 0] == 0).all()
    rows, columns = packed.sources_N // ids.shape[1], packed.sources_N % ids.shape[1]
    assert torch.equal(ids[rows, columns + 1], packed.targets_N)
    assert torch.equal(segments[rows, columns], packed.sequences_N)
    assert ids.shape[1] == padded.input_ids_BT.shape[1] and len(ids) <= len(padded.input_ids_BT)
    assert packed_tokens([forget, [], retain]) == ids.numel()


def test_rows_are_filled_and_the_same_each_time() -> None:
    sizes = [5, 3, 7, 2, 5, 3, 2, 8, 5]  # 40 tokens: five rows of eight
    data = {"train": numbered(*(row([1] * n, [0.0] + [1.0] * (n - 1)) for n in sizes))}
    first, again = (collate(data, pad_id=0, packed=True) for _ in range(2))
    assert first.input_ids_BT.shape == (6, 8) and packed_tokens([sizes]) == 48
    assert torch.equal(first.segment_ids_BT, again.segment_ids_BT)
    even = collate({"train": numbered(*[row([1, 2, 3, 4], [0, 1, 1, 1])] * 3)}, pad_id=0, packed=True)
    assert even.segment_ids_BT.tolist() == [[0] * 4, [1] * 4, [2] * 4]
