"""Rows hold whole documents that do not see one another."""

import random
from collections import Counter
from itertools import islice

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from forgetting.benchmarks.lab.packing import IGNORED, ROW, endless_rows, lay_out, pack

LENGTHS = random.Random(0).choices(range(5, 60), k=500)


def test_every_document_is_packed_once_and_no_row_overflows():
    rows = pack(LENGTHS, range(len(LENGTHS)))
    assert sorted(document for row in rows for document in row) == list(range(len(LENGTHS)))
    assert all(sum(LENGTHS[document] for document in row) <= ROW for row in rows)


def test_little_room_is_wasted():
    rows = pack(LENGTHS, range(len(LENGTHS)))
    assert sum(LENGTHS) / (ROW * len(rows)) > 0.93


def test_epochs_hold_every_document_once_in_a_new_order():
    rows = endless_rows(LENGTHS, seed=0)
    per_epoch = 0
    seen: Counter[int] = Counter()
    while len(seen) < len(LENGTHS):
        seen.update(next(rows))
        per_epoch += 1
    assert set(seen.values()) == {1}
    first = list(islice(endless_rows(LENGTHS, seed=0), per_epoch))
    second = list(islice(rows, per_epoch))
    assert first != second
    assert list(islice(endless_rows(LENGTHS, seed=0), per_epoch)) == first
    assert list(islice(endless_rows(LENGTHS, seed=1), per_epoch)) != first


def test_a_document_in_a_full_row_is_computed_as_if_alone():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config).double().eval()
    documents = [[1, 7, 8, 9, 2], [1, 11, 12, 2], [1, 20, 21, 22, 23, 2]]
    batch = lay_out([documents, documents[:1]])
    labels = batch.pop("labels")
    with torch.no_grad():
        together = model(**batch).logits
        for start, document in ((0, documents[0]), (5, documents[1]), (9, documents[2])):
            alone = model(input_ids=torch.tensor([document])).logits[0]
            torch.testing.assert_close(together[0, start : start + len(document)], alone)
    assert labels[0, :15].tolist() == [IGNORED, 7, 8, 9, 2, IGNORED, 11, 12, 2, IGNORED, 20, 21, 22, 23, 2]
    assert set(labels[0, 15:].tolist()) == {IGNORED}
