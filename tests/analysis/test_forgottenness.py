"""ΔNLL: statistics against known figures, values against full logits, and how often nothing is called a change."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.forgottenness import effect_size, measures_of
from forgetting.metrics.changes import mean_change
from forgetting.metrics.statistics import by_cluster, resampled_means
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, by_hand, models
from tests.golden import golden

FIGURES = golden("forgottenness")


def pairs(count: int) -> list[tuple[float, float]]:
    """The changes of the figures, as their file describes them."""
    r = np.random.default_rng({12: 0, 100: 1, 1000: 2}[count])
    before = r.gamma(4.0, 0.8, count)
    return list(zip(before, before + 0.6 + 0.25 * r.standard_normal(count), strict=True))


@pytest.mark.parametrize("count", [12, 100, 1000])
def test_the_statistics_are_those_of_the_figures(count: int) -> None:
    expected = FIGURES["cases"][f"n={count}"]
    found = {m.name: m for m in measures_of("forget", pairs(count), [str(i) for i in range(count)])}
    assert found["delta_nll"].value == pytest.approx(expected["mean"], abs=1e-12)
    assert found["median_delta_nll"].value == pytest.approx(expected["median"], abs=1e-12)
    assert found["delta_nll_sd"].value == pytest.approx(expected["sd_ddof1"], abs=1e-12)
    assert found["delta_nll_d"].value == pytest.approx(expected["cohens_d"], abs=1e-10)
    low, high = expected["ci95_percentile_numpy"]
    width = high - low
    changes = np.array([after - start for start, after in pairs(count)])
    drawn = resampled_means(changes[None], np.ones((1, count)), key="forget/delta_nll")[:, 0]
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx([low, high], abs=0.06 * width)  # the figure's percentiles
    ours = found["delta_nll"]
    assert ours.low < low + 0.06 * width and ours.high > high - 0.06 * width
    assert ours.high - ours.low < {12: 1.6, 100: 1.15, 1000: 1.06}[count] * width  # the hull, no narrower
    assert effect_size(np.array([a - b for b, a in pairs(count)])) * count**0.5 == pytest.approx(
        expected["t"], rel=1e-9
    )


def test_examples_of_one_source_are_resampled_together() -> None:
    r = np.random.default_rng(3)
    sizes = r.integers(1, 5, 20)
    base = 0.6 + 0.3 * r.standard_normal(20)
    clusters = np.repeat(np.arange(20), sizes)
    changes = base[clusters] + 0.05 * r.standard_normal(int(sizes.sum()))
    found = measures_of("forget", [(0.0, float(c)) for c in changes], [str(c) for c in clusters])[0]
    low, high = FIGURES["clustered"]["ci95_clustered"]
    drawn = resampled_means(*(s[None] for s in by_cluster(changes.tolist(), clusters.astype(str).tolist())), key="k")
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx([low, high], abs=0.08 * (high - low))
    assert found.low < low + 0.08 * (high - low) and found.high > high - 0.08 * (high - low)
    assert found.high - found.low < 1.6 * (high - low)


def test_the_changes_are_those_of_full_logits() -> None:
    before, after, plain, changed = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("forgottenness")(compared)
    found = {m.key: m for m in findings.measures}
    for role in ("forget", "retain"):
        logs = [(by_hand(plain, e)[0], by_hand(changed, e)[0]) for e in EXAMPLES[role]]
        expected = [float(np.mean(b) - np.mean(a)) for b, a in logs]
        assert found[f"{role}/delta_nll"].value == pytest.approx(np.mean(expected), abs=1e-5)
        line = next(s for s in findings.series if s.figure == "delta_nll" and s.name == role)
        assert line.x == pytest.approx(sorted(expected), abs=1e-4)
    place = next(s for s in findings.series if s.figure == "delta_nll_by_place" and s.name == "forget")
    firsts = [by_hand(plain, e)[0][0] - by_hand(changed, e)[0][0] for e in EXAMPLES["forget"]]
    assert place.y[0] == pytest.approx(np.mean(firsts), abs=1e-5)


def test_a_model_against_itself_has_no_effect_size() -> None:
    before, _, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples=EXAMPLES)
    found = {m.key: m for m in ANALYSES.build("forgottenness")(compared).measures}
    assert found["forget/delta_nll"].value == 0.0
    assert found["forget/delta_nll"].low is None
    assert found["forget/delta_nll_d"].value is None
    assert found["forget/delta_nll_d"].reason == "all changes are alike"


def test_nothing_is_called_a_change_hardly_more_often_than_the_level() -> None:
    r = np.random.default_rng(4)
    trials, called = 600, 0
    for trial in range(trials):
        changes = list(map(float, r.standard_normal(40)))
        found = mean_change(changes, [str(i) for i in range(40)], key=str(trial))
        called += not found.low <= 0 <= found.high
    assert called / trials < 0.075, "5% in the long run"
