"""Membership scores are their definitions, and those of open-unlearning where its reading is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.metrics.detection import auc
from forgetting.metrics.membership.scores import (
    LOSS,
    ZLIB,
    TokenStatistics,
    compressed,
    least_mean,
    min_k_name,
    scores,
    standardized,
)
from tests.golden import golden
from tests.metrics.membership.making import GOLDEN, Row, logits_of, rows_of, tokens_of

KS = (0.2, 0.4)
NAMES = {
    "loss": LOSS,
    "zlib": ZLIB,
    **{f"min_k_{k}": min_k_name(k) for k in KS},
    **{f"min_k_plus_plus_{k}": min_k_name(k, plus_plus=True) for k in KS},
}


def scored(row: Row, reading: str) -> dict[str, float]:
    return scores(tokens_of(row), row.text, ks=KS, reading=reading)  # type: ignore[arg-type]


@pytest.mark.parametrize("peer", NAMES)
def test_the_peers_reading_gives_the_peers_scores_and_auc(peer: str) -> None:
    if peer == "zlib" and [compressed(row.text) for row in rows_of("forget")] != GOLDEN["zlib_lengths"]["forget"]:
        pytest.skip("another build of zlib")
    figures = GOLDEN["figures"][peer]
    found = {
        kind: [scored(row, "open_unlearning")[NAMES[peer]] for row in rows_of(kind)] for kind in ("forget", "holdout")
    }
    for kind, values in found.items():
        assert values == pytest.approx(figures["formula_float64"][kind], rel=1e-10)
        assert values == pytest.approx(figures["scores_batch1"][kind], abs=1e-6)
    seen = [True] * len(found["forget"]) + [False] * len(found["holdout"])
    values = [-v for v in (*found["forget"], *found["holdout"])]
    assert auc(values, seen, range(len(seen))).value == pytest.approx(figures["auc"], abs=1e-9)


def test_the_reference_score_is_a_difference_of_losses() -> None:
    for kind in ("forget", "holdout"):
        ours = [
            -np.mean(tokens_of(row).logp) + np.mean(tokens_of(row, seed=GOLDEN["_inputs"]["seed"] + 1).logp)
            for row in rows_of(kind)
        ]
        assert ours == pytest.approx(GOLDEN["figures"]["reference"]["formula_float64"][kind], rel=1e-9)


def test_as_a_whole_the_last_token_counts_and_a_single_token_is_scored() -> None:
    row = rows_of("forget")[0]
    tokens = tokens_of(row)
    whole, peers = scored(row, "whole"), scored(row, "open_unlearning")
    lowest = sorted(tokens.logp)[: max(1, int(0.4 * len(tokens.logp)))]
    assert whole["min_40"] == pytest.approx(-sum(lowest) / len(lowest))
    assert whole[LOSS] == peers[LOSS]
    alone = TokenStatistics(logp=(-3.0,), entropy=(1.0,), varentropy=(4.0,))
    assert scores(alone, "x", ks=(0.2,))["min_20"] == 3.0
    assert scores(alone, "x", ks=(0.2,))["min_20_plus_plus"] == 1.0
    assert scores(alone, "x", ks=(0.2,), reading="open_unlearning")["min_20"] == 0.0
    assert GOLDEN["edges"]["min_k of a row with one supervised token"] == 0.0


def test_z_is_the_distance_from_the_mean_in_deviations_of_the_whole_distribution() -> None:
    row = rows_of("holdout")[1]
    log_p = logits_of(row) - np.log(np.exp(logits_of(row)).sum(-1, keepdims=True))
    mean = (np.exp(log_p) * log_p).sum(-1)
    deviation = np.sqrt((np.exp(log_p) * (log_p - mean[:, None]) ** 2).sum(-1))
    own = log_p[np.arange(len(row.labels)), row.labels]
    assert standardized(tokens_of(row)) == pytest.approx(list((own - mean) / deviation), rel=1e-9)


def test_a_certain_distribution_divides_by_no_zero_and_a_score_that_is_not_finite_is_missing() -> None:
    certain = TokenStatistics(logp=(0.0, 0.0), entropy=(0.0, 0.0), varentropy=(0.0, 0.0))
    assert scores(certain, "x", ks=(0.5,))["min_50_plus_plus"] == 0.0
    never = TokenStatistics(logp=(-np.inf, -1.0), entropy=(1.0, 1.0), varentropy=(1.0, 1.0))
    assert scores(never, "x", ks=(0.5,)) == {}
    assert least_mean([-1.0, -2.0, -3.0, -4.0, -5.0], 0.4) == 4.5


def test_the_muse_scores_of_longer_texts() -> None:
    for texts, peers in zip(
        GOLDEN["_inputs"]["muse_forget"], golden("mia")["muse_own_code"]["scores_forget"], strict=True
    ):
        row = Row(tuple(texts), 1)
        found = scores(tokens_of(row), row.text, ks=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
        assert found[LOSS] == pytest.approx(peers["PPL"], rel=1e-9)
        for percent in (5, 10, 20, 30, 40, 50, 60):
            assert found[f"min_{percent}"] == pytest.approx(peers[f"Min-{percent}%"], rel=1e-9)
