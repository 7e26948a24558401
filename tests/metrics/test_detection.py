"""How well a score finds labelled tokens, against counting every pair and against resampled clusters."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from forgetting.core.errors import DataError
from forgetting.metrics.detection import auc, auc_difference, average_precision, found
from tests.golden import figures


def pairs_won(scores, labels):
    """Of all (labelled, other) pairs the share in which the labelled one scores higher; ties count half."""
    noisy, clean = ([s for s, label in zip(scores, labels, strict=True) if label == side] for side in (True, False))
    won = [float(a > b) + 0.5 * (a == b) for a in noisy for b in clean]
    return sum(won) / len(won)


def clustered(rng, clusters=120, size=6, shift=1.0):
    """Scores, other scores, labels and clusters; tokens of a cluster have a part of their score in common."""
    names = np.repeat(np.arange(clusters), rng.integers(1, 2 * size, clusters))
    noisy = rng.random(clusters)[names] < 0.3
    labels = noisy & (rng.random(len(names)) < 0.6)
    common, shared = rng.normal(size=clusters)[names], rng.normal(size=len(names))
    scores = np.round(common + shared + shift * labels, 1)
    others = np.round(common + 0.5 * shared + rng.normal(size=len(names)) + 0.4 * shift * labels, 1)
    return scores, others, labels, names


def resampled(value_of, clusters, rng, resamples=600):
    """The standard deviation of `value_of(indices)` over resampled clusters."""
    members = [np.flatnonzero(clusters == name) for name in np.unique(clusters)]
    drawn = (
        np.concatenate([members[c] for c in rng.integers(0, len(members), len(members))]) for _ in range(resamples)
    )
    return float(np.std([value_of(indices) for indices in drawn]))


@pytest.fixture
def sample():
    return clustered(np.random.default_rng(0))


def width(estimate):
    return (estimate.high - estimate.low) / (2 * 1.959964)


def test_the_auc_is_the_share_of_pairs_won_with_ties_and_infinities(sample):
    scores, _, labels, clusters = sample
    scores = scores.copy()
    scores[[0, 5, 9]] = [math.inf, -math.inf, math.inf]
    estimate = auc(scores, labels, clusters)
    assert estimate.value == pytest.approx(pairs_won(scores, labels), abs=1e-12)
    assert estimate.count == len(scores)


def test_the_auc_is_that_of_scikit_learn(sample):
    scores, _, labels, clusters = sample
    assert auc(scores, labels, clusters).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_as_wide_as_resampled_clusters_say(seed):
    rng = np.random.default_rng(seed)
    scores, others, labels, clusters = clustered(rng)
    spread = resampled(lambda i: roc_auc_score(labels[i], scores[i]), clusters, rng)
    assert width(auc(scores, labels, clusters)) == pytest.approx(spread, rel=0.15)
    spread = resampled(
        lambda i: roc_auc_score(labels[i], scores[i]) - roc_auc_score(labels[i], others[i]), clusters, rng
    )
    assert width(auc_difference(scores, others, labels, clusters)) == pytest.approx(spread, rel=0.15)


def test_with_one_token_a_cluster_the_variance_is_delongs():
    rng = np.random.default_rng(4)
    labels = rng.random(80) < 0.4
    scores, others = (rng.normal(size=80) + labels for _ in range(2))

    def placements(values):
        noisy, clean = values[labels], values[~labels]
        beats = (noisy[:, None] > clean[None, :]).astype(float)
        return beats.mean(axis=1), beats.mean(axis=0)

    (a1, a0), (b1, b0) = placements(scores), placements(others)
    delong = np.var(a1 - b1, ddof=1) / len(a1) + np.var(a0 - b0, ddof=1) / len(a0)
    estimate = auc_difference(scores, others, labels, np.arange(80))
    assert estimate.value == pytest.approx(a1.mean() - b1.mean(), abs=1e-12)
    assert width(estimate) == pytest.approx(math.sqrt(delong), rel=0.02)  # n/(n-1) over all instead of by class


def test_of_independent_texts_it_is_the_delong_interval_of_the_reference_on_the_logit_scale():
    golden = figures("certificate")["auc"]
    rs = np.random.RandomState(20261240)
    rs.beta(0.6, 4, size=(4, 12)), rs.beta(0.5, 6.0, size=128)
    rs.uniform(0, 0.4, 40), rs.normal(0.01, 0.05, 40), rs.normal(0, 0.02, 6)
    forgotten, unseen = rs.normal(0, 1, 30), rs.normal(0.35, 1, 25)
    labels = np.arange(55) < 30  # of lower loss, so less is found first
    estimate = auc(-np.concatenate([forgotten, unseen]), labels, np.arange(55))
    assert estimate.value == pytest.approx(golden["auc (forget more member-like)"], abs=1e-12)
    logit = [math.log(p / (1 - p)) for p in (estimate.low, estimate.high)]
    error = (logit[1] - logit[0]) / 2 / 1.959964 * estimate.value * (1 - estimate.value)
    assert error == pytest.approx(golden["delong_se"], rel=0.02)  # n/(n-1) over all instead of by class
    assert [estimate.low, estimate.high] == pytest.approx(golden["delong_95"], abs=0.015)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    truth = 0.5 * (1 + math.erf(1 / 2 / math.sqrt(2)))  # of a shift of 1 with common and own parts of variance 1 each
    rng = np.random.default_rng(9)
    inside = 0
    for _ in range(300):
        scores, _, labels, clusters = clustered(rng)
        estimate = auc(scores, labels, clusters)
        inside += estimate.low <= truth <= estimate.high
    assert 0.88 <= inside / 300 <= 0.99


def test_the_paired_difference_is_narrower_than_two_intervals_apart(sample):
    scores, _, labels, clusters = sample
    almost = scores + np.random.default_rng(1).normal(size=len(scores)) * 0.1
    difference = auc_difference(scores, almost, labels, clusters)
    assert width(difference) < 0.3 * width(auc(scores, labels, clusters))
    reverse = auc_difference(almost, scores, labels, clusters)
    assert (reverse.low, reverse.high) == pytest.approx((-difference.high, -difference.low))


def test_a_score_against_itself_differs_by_nothing_and_has_no_interval(sample):
    scores, _, labels, clusters = sample
    estimate = auc_difference(scores, scores * 2, labels, clusters)
    assert (estimate.value, estimate.low, estimate.high) == (0.0, None, None)


def test_clusters_may_have_names_and_any_order(sample):
    scores, _, labels, clusters = sample
    order = np.random.default_rng(2).permutation(len(scores))
    names = [f"example {clusters[i]}" for i in order]
    mixed, plain = auc(scores[order], labels[order], names), auc(scores, labels, clusters)
    assert (mixed.value, mixed.low, mixed.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_perfect_detection_claims_no_certainty():
    estimate = auc([3, 2, 1, 0], [True, True, False, False], [0, 1, 2, 3])
    assert (estimate.value, estimate.low, estimate.high) == (1.0, None, None)


def test_the_interval_stays_below_one_where_few_pairs_are_lost():
    scores = [*range(20), 19.5, 5.5, *range(30, 48)]
    estimate = auc(scores, [False] * 20 + [True] * 20, range(40))
    assert estimate.low < estimate.value < estimate.high < 1


@pytest.mark.parametrize(("labels", "reason"), [([0, 0], "no token is labelled"), ([1, 1], "every token is labelled")])
def test_where_there_is_nothing_to_tell_apart_there_is_no_auc(labels, reason):
    for estimate in (auc([1, 2], labels, [0, 1]), auc_difference([1, 2], [2, 1], labels, [0, 1])):
        assert estimate.value is None
        assert reason in estimate.reason


def test_average_precision_is_scikit_learns_and_bears_infinite_scores(sample):
    scores, _, labels, _ = sample
    assert average_precision(scores, labels).value == pytest.approx(average_precision_score(labels, scores))
    assert average_precision([math.inf, 1, -math.inf], [1, 0, 1]).value == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision([1, 2], [0, 0]).value is None


def test_precision_and_recall_of_a_chosen_set(sample):
    scores, _, labels, clusters = sample
    chosen = scores > 1
    both = sum(a and b for a, b in zip(chosen, labels, strict=True))
    result = found(chosen, labels, clusters)
    assert result.precision.value == pytest.approx(both / sum(chosen))
    assert result.recall.value == pytest.approx(both / sum(labels))
    assert result.labelled.value == pytest.approx(sum(labels) / len(labels))
    assert result.chosen.value == pytest.approx(sum(chosen) / len(labels))
    assert (result.precision.count, result.recall.count) == (sum(chosen), sum(labels))
    rng = np.random.default_rng(3)
    for estimate, value_of in (
        (result.precision, lambda i: labels[i][chosen[i]].mean()),
        (result.recall, lambda i: chosen[i][labels[i]].mean()),
    ):
        assert width(estimate) == pytest.approx(resampled(value_of, clusters, rng), rel=0.15)


def test_an_empty_choice_has_no_precision_and_no_recall_interval():
    result = found([0, 0, 0], [1, 0, 1], [0, 1, 2])
    assert result.precision.value is None
    assert result.precision.reason == "no token is chosen"
    assert (result.recall.value, result.recall.low) == (0.0, None)


def test_what_does_not_fit_is_said():
    with pytest.raises(DataError, match=r"have \[2, 3\] entries"):
        auc([1, 2, 3], [1, 0], [0, 1])
    with pytest.raises(DataError, match="1 of 2 scores are NaN"):
        auc([1, math.nan], [1, 0], [0, 1])


def test_a_million_tokens_take_seconds():
    rng = np.random.default_rng(0)
    clusters = np.sort(rng.integers(0, 50_000, 1_000_000))
    labels = rng.random(1_000_000) < 0.1
    began = time.process_time()
    auc(rng.normal(size=1_000_000), labels, clusters)
    assert time.process_time() - began < 5
