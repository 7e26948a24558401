"""How well quality finds the tokens that are known to be wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.token_selection.noise_detection import Truth
from forgetting.token_selection.score_files import ScoredRow
from tests.models.tiny import WORDS, tiny_tokenizer

PLAIN = Formatting(template="plain")


def example(number: int, fields: Mapping[str, object]) -> Example:
    response = " ".join(WORDS[(number + i) % len(WORDS)] for i in range(4))
    return Example(id=str(number), prompt=WORDS[number % len(WORDS)], response=response, fields=fields)


def filled(count: int = 30) -> tuple[Truth, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of which every third has its first word wrong; labels, Q and losses of all tokens."""
    rng, truth = np.random.default_rng(0), Truth(tiny_tokenizer(), PLAIN)
    labels, qualities, losses = [], [], []
    for number in range(count):
        first = len(WORDS[number % len(WORDS)])
        noise = [[0, first, "swap"]] if number % 3 == 0 else []
        row = example(number, {"noise": noise})
        encoded = encode(row, tiny_tokenizer(), PLAIN)
        base, gained = (rng.normal(size=encoded.supervised).astype(np.float32) for _ in range(2))
        scored = ScoredRow(row.id, np.zeros(encoded.supervised, np.int32), base, base + gained)
        truth.add(row, encoded, scored, np.where(scored.quality < 0, -1, 1).astype(np.int8))
        labels.append([bool(noise) and i == 0 for i in range(encoded.supervised)])
        qualities.append(scored.quality)
        losses.append(-base)
    return truth, np.concatenate(labels), np.concatenate(qualities), np.concatenate(losses)


def test_the_areas_are_those_of_scikit_learn() -> None:
    truth, labels, quality, loss = filled()
    found = truth.to_json()
    assert labels.sum() == 10
    assert found["quality"]["value"] == pytest.approx(roc_auc_score(labels, -quality))
    assert found["loss"]["value"] == pytest.approx(roc_auc_score(labels, loss))
    difference = roc_auc_score(labels, -quality) - roc_auc_score(labels, loss)
    assert found["difference"]["value"] == pytest.approx(difference)
    assert found["average_precision"]["value"] == pytest.approx(average_precision_score(labels, -quality))
    assert found["kinds"]["swap"]["quality"]["value"] == pytest.approx(found["quality"]["value"])


def test_forgotten_tokens_have_a_precision_and_a_recall() -> None:
    truth, labels, quality, _ = filled()
    found, forgotten = truth.to_json(), quality < 0
    assert found["precision"]["value"] == pytest.approx((labels & forgotten).sum() / forgotten.sum())
    assert found["recall"]["value"] == pytest.approx((labels & forgotten).sum() / labels.sum())


def test_rows_without_labels_are_not_counted() -> None:
    truth = Truth(tiny_tokenizer(), PLAIN)
    row = example(0, {})
    encoded = encode(row, tiny_tokenizer(), PLAIN)
    zeros = np.zeros(encoded.supervised, np.float32)
    truth.add(row, encoded, ScoredRow("0", np.zeros(len(zeros), np.int32), zeros, zeros), np.ones(len(zeros), np.int8))
    assert not truth.known and filled()[0].known
