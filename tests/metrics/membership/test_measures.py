"""Membership measures: which texts are compared, what is said, and what is absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from forgetting.core.record import Record
from forgetting.metrics.membership.measures import by_chance, found_at, membership_measures, signal
from forgetting.metrics.statistics import Estimate


def records(
    split: str, scores: list[float], *, kind: str = "", tokens: float = 5.0, name: str = "loss"
) -> list[Record]:
    return [
        Record(id=f"{split}{i}", split=split, prompt="q", answer="a", kind=kind, values={name: score, "tokens": tokens})
        for i, score in enumerate(scores)
    ]


def measured(members: list[Record], unseen: list[Record], split: str = "forget"):
    found = membership_measures({split: members, "holdout": unseen})
    return {m.key: m for m in found}


def test_the_auc_is_the_chance_to_look_more_seen_and_the_signal_its_distance_from_a_half() -> None:
    rng = np.random.default_rng(1)
    seen, unseen = rng.normal(0, 1, 40).tolist(), rng.normal(1, 1, 30).tolist()
    found = measured(records("forget", seen), records("holdout", unseen))
    expected = mannwhitneyu(unseen, seen).statistic / (40 * 30)
    auc, signal_of = found["forget/loss_auc"], found["forget/loss_signal"]
    assert auc.value == pytest.approx(expected) and auc.value > 0.5 and auc.count == 70
    assert signal_of.value == pytest.approx(abs(expected - 0.5)) and signal_of.direction == "down"
    assert auc.low is not None and signal_of.low == pytest.approx(auc.low - 0.5)
    assert f"{by_chance(40, 30):.3f} on average" in signal_of.meaning
    assert found["forget/blind_auc"].value == 0.5


def test_less_seen_than_unseen_text_is_a_signal_too() -> None:
    found = measured(records("forget", [2.0, 3.0, 4.0]), records("holdout", [1.0, 2.5, 1.5]))
    assert found["forget/loss_auc"].value == pytest.approx(1 / 9)
    assert found["forget/loss_signal"].value == pytest.approx(0.5 - 1 / 9)
    assert "One side has 3 source examples, so the interval is too narrow" in found["forget/loss_auc"].meaning


def test_the_signal_reaches_down_to_nothing_where_the_interval_holds_a_half() -> None:
    assert signal(Estimate(0.45, 9, 0.3, 0.6)) == Estimate(pytest.approx(0.05), 9, 0.0, pytest.approx(0.2))
    assert signal(Estimate(0.3, 9, 0.2, 0.4)) == Estimate(pytest.approx(0.2), 9, pytest.approx(0.1), pytest.approx(0.3))
    assert signal(Estimate(1.0, 9)) == Estimate(0.5, 9)
    assert signal(Estimate(None, 0, reason="why")).reason == "why"


def test_chance_is_that_of_the_null_distribution() -> None:
    rng = np.random.default_rng(0)
    drawn = [abs(mannwhitneyu(rng.normal(size=30), rng.normal(size=25)).statistic / 750 - 0.5) for _ in range(2000)]
    assert by_chance(30, 25) == pytest.approx(0.0629379829255)
    assert by_chance(30, 25) == pytest.approx(np.mean(drawn), rel=0.06)


def test_the_true_positive_rate_needs_a_hundred_unseen_texts() -> None:
    few = measured(records("forget", [0.0] * 20), records("holdout", [1.0] * 99))["forget/loss_tpr"]
    assert few.value is None and "99 unseen texts cannot tell what 1% of them is" in few.reason
    unseen = [float(i) for i in range(100)]  # one of them, 0, may be taken for seen
    found = measured(records("forget", [0.5, 0.9, 1.0, 50.0]), records("holdout", unseen))["forget/loss_tpr"]
    assert found.value == 0.5 and found.count == 4 and found.low is not None
    assert found_at([0.5], [0.5, 1.0], 0.01) == [0.0]  # ties are not found


def test_without_unseen_texts_or_texts_of_the_kind_nothing_is_said() -> None:
    alone = {m.key: m for m in membership_measures({"forget": records("forget", [1.0, 2.0])})}
    assert {m.value for m in alone.values()} == {None}
    assert "no unseen texts to compare with" in alone["forget/loss_auc"].reason
    other = measured(records("forget", [1.0], kind="birthplace"), records("holdout", [1.0], kind="poem"))
    assert other["forget/loss_auc"].reason == "no unseen text is of the same kind"


def test_only_unseen_texts_of_a_members_kind_count() -> None:
    unseen = [*records("holdout", [3.0, 4.0], kind="a"), *records("holdout", [0.0, 0.0, 0.0], kind="b")]
    found = measured(records("forget", [1.0, 2.0], kind="a"), unseen)["forget/loss_auc"]
    assert found.value == 1.0 and found.count == 4 and math.isnan(found.low or math.nan)


def test_texts_of_another_length_show_in_the_blind_auc() -> None:
    found = measured(records("forget", [1.0, 2.0], tokens=3.0), records("holdout", [1.0, 2.0], tokens=9.0))
    assert found["forget/blind_auc"].value == 1.0 and "different kinds" in found["forget/blind_auc"].meaning
    assert "forget/blind_signal" not in found


def test_kept_texts_show_whether_the_score_tells_anything_at_all() -> None:
    found = measured(records("retain", [0.0, 1.0]), records("holdout", [2.0, 3.0]), split="retain")
    assert list(found) == ["retain/loss_auc", "retain/blind_auc"]
    assert found["retain/loss_auc"].value == 1.0


def test_a_score_that_one_side_lacks_is_absent() -> None:
    found = measured(records("forget", [1.0], name="reference"), records("holdout", [1.0], name="loss"))
    assert found["forget/reference_auc"].value is None
    assert found["forget/reference_auc"].reason == "no text of one side has this score"
