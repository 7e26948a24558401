"""What open-unlearning measures of memorization, beside ours: the formula on all tokens is ours, its own drops one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forgetting.core.record import Record, Score
from forgetting.metrics.extraction import exact_memorization, extraction_strength
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.truth_ratio import truth_ratio_forget, truth_ratio_utility
from tests.golden import golden

GOLDEN = golden("memorization")
FORMULA = GOLDEN["figures"]["formula"]
OPTIONS = GOLDEN["options_and_truth_ratio"]


def scores() -> list[Score]:
    """Of each row's supervised tokens: the recipe of the figures."""
    inputs, rs = GOLDEN["_inputs"], np.random.RandomState(20261201)
    logits_BTV, labels_BT = 2 * rs.randn(6, 9, 12), rs.randint(0, 12, size=(6, 9))
    for row, places in inputs["RIGHT"].items():
        for place in places:
            logits_BTV[int(row), place - 1, labels_BT[int(row), place]] += 9
    log_p_BTV = logits_BTV - np.log(np.exp(logits_BTV).sum(-1, keepdims=True))
    found = []
    for row, start in enumerate(inputs["start"]):
        places = [(place - 1, labels_BT[row, place]) for place in range(start, 9)]
        ranks = tuple(int((log_p_BTV[row, at] > log_p_BTV[row, at, label]).sum()) for at, label in places)
        found.append(Score(sum(float(log_p_BTV[row, at, label]) for at, label in places), len(places), ranks))
    return found


def record(score: Score, perturbed: tuple[Score, ...] = ()) -> Record:
    return Record(id="x", split="forget", prompt="q", answer="a", score=score, perturbed=perturbed)


def test_of_all_tokens_they_are_the_formula() -> None:
    rows = [record(score) for score in scores()]
    assert [extraction_strength.value_of(r) for r in rows] == pytest.approx(FORMULA["es_all_tokens"])
    assert [exact_memorization.value_of(r) for r in rows] == pytest.approx(FORMULA["em_all_tokens"])
    assert [probability.value_of(r) for r in rows] == pytest.approx(FORMULA["prob"])


def test_without_the_last_token_they_are_the_peer_s_but_for_its_least_score() -> None:
    for score, strength, share in zip(scores(), FORMULA["es_less_last"], FORMULA["em_less_last"], strict=True):
        less = record(replace(score, ranks=score.ranks[:-1], tokens=score.tokens - 1))
        found = extraction_strength.value_of(less)
        if strength is None:
            assert found is None and exact_memorization.value_of(less) is None
            continue
        assert exact_memorization.value_of(less) == pytest.approx(share)
        least = 1 / (score.tokens - 1)  # the peer never goes below, where nothing is right ours is 0
        assert found == pytest.approx(strength) or (found == 0.0 and strength == pytest.approx(least))


def test_options_and_truth_ratios_are_the_peer_s() -> None:
    rs = np.random.RandomState(20261202)
    right, wrong = rs.uniform(0.2, 4, size=5), rs.uniform(0.5, 4, size=(5, 3))
    assert right.tolist() == pytest.approx(OPTIONS["right_losses"])
    rows = [record(Score(-r, 1), tuple(Score(-w, 1) for w in some)) for r, some in zip(right, wrong, strict=True)]
    for name, what in (
        ("probability_w_options", option_probability),
        ("closer_to_1_better", truth_ratio_forget()),
        ("true_better", truth_ratio_utility()),
    ):
        values = [what.value_of(row) for row in rows]
        assert np.mean([v for v in values if v is not None]) == pytest.approx(OPTIONS["formula"][name], rel=1e-8)
