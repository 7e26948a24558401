"""privleak is MUSE's, and its interval is as wide as the published scores are noisy."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.metrics.membership.privleak import Scored, privleak, relative_auc, unseen_auc
from tests.golden import golden

NOISE = golden("muse_privleak_noise")["figures"]


@pytest.mark.parametrize(
    ("auc", "retrained"), [(0.9961, 0.4772), (0.5, 0.4772), (0.4772, 0.4772), (0.05, 0.4772), (0.62, None)]
)
def test_the_figure_is_that_of_the_peer(auc: float, retrained: float | None) -> None:
    # There AUC is 1 where forgotten texts look more seen.
    expected = golden("mia")["privleak"][f"auc={auc} retrained={retrained}"]["privleak"]
    assert relative_auc(1 - auc, 1 - (0.5 if retrained is None else retrained)) == pytest.approx(expected, rel=1e-9)


def test_a_retrained_auc_of_zero_gives_no_number_where_the_peer_prints_a_trillion() -> None:
    assert golden("mia")["privleak"]["auc=0.05 retrained=1.0"]["privleak"] > 1e11
    found = privleak(Scored(forget=[2.0], holdout=[1.0]), Scored(forget=[1.0], holdout=[2.0]), key="k")
    assert found.value is None and "AUC of the retrained model is 0" in found.reason


@pytest.mark.parametrize("name", ["News", "Books"])
def test_published_privleak_follows_from_published_auc(name: str) -> None:
    retrained = NOISE[name]["retrain"]["auc"]
    for row in NOISE[name].values():
        assert relative_auc(row["auc"], retrained) == pytest.approx(row["privleak"], abs=1e-6)


def scores(auc: float, rng: np.random.Generator, texts: int = 100) -> Scored:
    """Scores of normal distributions that are told apart about so well."""
    shift = np.sqrt(2) * float(np.quantile(rng.normal(size=100_000), auc))
    return Scored(forget=rng.normal(shift, 1, texts).tolist(), holdout=rng.normal(0, 1, texts).tolist())


def test_with_a_hundred_texts_of_each_kind_the_interval_is_as_wide_as_that_of_the_published_scores() -> None:
    rng = np.random.default_rng(3)
    retrained = scores(NOISE["News"]["retrain"]["auc"], rng)
    found = privleak(scores(NOISE["News"]["ga/step=102"]["auc"], rng), retrained, key="k")
    low, high = NOISE["News"]["ga/step=102"]["privleak_95"]
    assert found.low is not None and found.high is not None
    assert 0.6 * (high - low) < found.high - found.low < 1.8 * (high - low)
    assert found.low < found.value < found.high and found.count == 200  # type: ignore[operator]


def test_the_retrained_model_against_itself_has_no_noise_and_the_same_key_gives_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    one, other = scores(0.5, rng, 30), scores(0.3, rng, 30)
    assert privleak(one, one, key="k").low is None and privleak(one, one, key="k").value == 0.0
    assert privleak(other, one, key="k") == privleak(other, one, key="k")
    assert unseen_auc(np.array(other.forget), np.array(other.holdout)) < unseen_auc(
        np.array(one.forget), np.array(one.holdout)
    )


def test_the_auc_counts_ties_half_and_other_texts_are_refused() -> None:
    assert unseen_auc(np.array([1.0, 1.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx((0.5 + 0.5 + 2) / 6)
    with pytest.raises(ValueError, match="the same texts"):
        privleak(Scored(forget=[1.0], holdout=[1.0]), Scored(forget=[1.0, 2.0], holdout=[1.0]), key="k")


def test_texts_that_are_told_apart_whole_get_no_interval_of_no_width() -> None:
    rng = np.random.default_rng(5)
    retrained = scores(0.5, rng, 40)
    member = Scored(forget=[0.1] * 40, holdout=[0.2] * 40)
    found = privleak(member, retrained, key="k")
    assert found.value == pytest.approx(-100.0) and found.low is None
