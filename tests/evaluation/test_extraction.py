"""Fast continuations equal the naive procedure: every prefix decoded by itself, a whole forward for each token."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.evaluation import extraction
from forgetting.evaluation.extraction import Verbatim, continue_all, extract, overlaps
from forgetting.metrics.extraction import extraction_likelihood
from forgetting.metrics.likelihood import memorization_accuracy
from forgetting.metrics.per_example import mean
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

FAMILIES = ["llama", "gpt2", "gpt_neo", "qwen3", "gemma2", "mistral", "phi", "cohere"]
SMALL_WINDOW = {"gemma2": {"sliding_window": 6}, "mistral": {"sliding_window": 6}}
LENGTH, SHORTEST = 18, 4


def model_of(family: str) -> PreTrainedModel:
    return tiny_model(family, dtype=torch.float64, **SMALL_WINDOW.get(family, {}))


@torch.no_grad()
def naive(model: PreTrainedModel, ids: list[int], start: int) -> tuple[int, ...]:
    written = ids[:start]
    while len(written) < len(ids):
        written.append(int(model(torch.tensor([written])).logits[0, -1].argmax()))
    return tuple(written[start:])


def memorized(model: PreTrainedModel, level: float, seed: int, length: int = LENGTH) -> list[int]:
    """A sequence of which about `level` of the tokens are the greedy ones given the true tokens before them."""
    rng = np.random.default_rng(seed)
    ids = [int(rng.integers(3, 97))]
    while len(ids) < length:
        (right,) = naive(model, [*ids, 0], len(ids))
        ids.append(right if rng.random() < level else (right + 1 + int(rng.integers(90))) % 97)
    return ids


@pytest.mark.parametrize("level", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_continuation_equals_the_naive_one(family: str, level: float) -> None:
    model = model_of(family)
    texts = [memorized(model, level, seed, LENGTH - 3 * seed) for seed in range(2)]
    found = continue_all(model, [Verbatim(tuple(ids)) for ids in texts], shortest=SHORTEST)
    for ids, continued in zip(texts, found, strict=True):
        assert dict(continued.continuations) == {
            start: naive(model, ids, start) for start in range(1, len(ids) - SHORTEST + 1)
        }
        hits = [naive(model, ids[: p + 1], p)[0] == ids[p] for p in range(1, len(ids))]
        assert [rank == 0 for rank in continued.score.ranks] == hits


def test_groups_of_rows_that_do_not_fit_together_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("llama")
    texts = [Verbatim(tuple(memorized(model, 0.5, seed, 20 + seed))) for seed in range(3)]
    together = continue_all(model, texts)
    monkeypatch.setattr(extraction, "CACHE_BYTES", 1)
    monkeypatch.setattr(extraction, "BATCH_TOKENS", 1)
    assert [dict(c.continuations) for c in continue_all(model, texts)] == [dict(c.continuations) for c in together]


def test_what_the_tokenizer_puts_first_lets_the_empty_prefix_be_continued() -> None:
    model = model_of("llama")
    ids = [1, *memorized(model, 0.5, 5, 14)]
    (found,) = continue_all(model, [Verbatim(tuple(ids), before=1)], shortest=SHORTEST)
    assert dict(found.continuations) == {k: naive(model, ids, k + 1) for k in range(14 - SHORTEST + 1)}
    assert found.score.tokens == len(found.score.ranks) == 13


def test_overlap_is_the_share_of_written_runs_that_truly_follow() -> None:
    text = [5, 6, 7, 8, 5, 6]
    assert overlaps(text, {1: [6, 7, 9, 5, 6], 2: [7, 8, 5, 6], 4: [6, 5]}, 2) == (None, 2 / 4, 1.0, None, 0.0)


def test_overlap_counts_no_run_that_only_stands_before_the_prefix() -> None:
    assert overlaps([5, 6, 7, 8, 9], {2: [5, 6, 7]}, 2) == (None, None, 0.0, None)


def text(words: int, **fields: object) -> Example:
    return Example(
        id="a", form="text", response=" ".join(WORDS[i % len(WORDS)] for i in range(words)), where="f.csv:2", **fields
    )  # type: ignore[arg-type]


def test_records_hold_scores_and_overlaps_and_leave_the_model_as_it_was() -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    model.train()
    (record,) = extract(model, tokenizer, [text(25)], split="forget", n=(3, 5), max_tokens=20)
    assert model.training
    ids = tokenizer(text(25).response)["input_ids"][:20]
    expected = overlaps(ids, {start: naive(model.eval(), ids, start) for start in range(1, 18)}, 3)
    assert record.extraction[3] == expected
    assert len(record.extraction[5]) == 16
    assert record.score is not None and record.score.tokens == 19
    with torch.no_grad():
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    assert record.score.logp == pytest.approx(sum(float(logp[i - 1, ids[i]]) for i in range(1, 20)), rel=1e-6)
    assert not math.isnan(record.score.runner_up)


def own_ids(ids: list[int]) -> Example:
    return Example(id="t", form="tokens", response="7 7", token_ids=tuple(ids), where="f.npy, row 2")


def test_a_passage_of_no_more_than_n_tokens_is_missing_from_that_n_and_scored_all_the_same() -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    short, whole = text(3), replace(text(12), id="b")
    records = extract(model, tokenizer, [short, whole], split="forget", n=(3, 2))
    alone = extract(model, tokenizer, [whole], split="forget", n=(3, 2))
    assert extraction_likelihood(3).value_of(records[0]) is None
    assert extraction_likelihood(2).value_of(records[0]) is not None
    assert records[0].score is not None and records[0].score.tokens == 2
    assert records[1].extraction == alone[0].extraction


def test_a_record_of_token_ids_says_what_they_decode_to() -> None:
    (record,) = extract(model_of("llama"), tiny_tokenizer(), [own_ids([5, 6, 7, 8])], split="forget", n=(2,))
    assert record.answer == tiny_tokenizer().decode([5, 6, 7, 8])


def test_an_example_may_bring_its_own_token_ids() -> None:
    model = model_of("llama")
    ids = memorized(model, 0.5, 3, 12)
    (record,) = extract(model, tiny_tokenizer(), [own_ids(ids)], split="forget", n=(3,))
    assert record.extraction[3] == overlaps(ids, {k: naive(model, ids, k) for k in range(1, 10)}, 3)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (text(10), r"^forget: the longest passage has 10 tokens, but overlaps of 10 tokens need at least 11; "),
        (text(1), r"^f\.csv:2: is a single token"),
        (own_ids([*range(3, 20), 97]), r"^f\.npy, row 2: token id 97 is outside .* vocabulary of 97"),
        (Example(id="q", prompt="a", response="b"), "^q: a question has no verbatim sequence"),
    ],
)
def test_what_cannot_be_extracted_is_named(example: Example, message: str) -> None:
    with pytest.raises(DataError, match=message):
        extract(model_of("llama"), tiny_tokenizer(), [example], split="forget")


def test_passages_that_are_not_chosen_are_scored_alike_and_not_continued() -> None:
    model, tokenizer = model_of("llama"), tiny_tokenizer()
    examples = [replace(text(12 + i), id=str(i)) for i in range(4)]
    every = extract(model, tokenizer, examples, split="forget", n=(3,))
    found = extract(model, tokenizer, examples, split="forget", n=(3,), written={"1", "3"})
    assert [r.score for r in found] == [r.score for r in every]
    assert [dict(r.extraction) for r in found] == [{}, every[1].extraction, {}, every[3].extraction]
    [measure] = mean(extraction_likelihood(3), ["forget"], "down")({"forget": found}, None)
    assert (measure.count, measure.of) == (2, 4)
    [scored] = mean(memorization_accuracy, ["forget"], "down")({"forget": found}, None)
    assert (scored.count, scored.of) == (4, None)
