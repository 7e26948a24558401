"""The classifier of differences: it finds what changed, nothing where nothing did, and never judges what it saw."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.core.record import Record
from forgetting.metrics.membership.posterior import features_of, folds, posterior_measures


def records(split: str, change: float, *, seed: int, count: int = 40, per: int = 1) -> list[Record]:
    """Texts whose loss rose by about `change`."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        before, rise = rng.normal(2, 1), rng.normal(change, 1)
        found.append(
            Record(
                id=f"{split}{i}",
                split=split,
                prompt="",
                answer="a",
                group=f"g{i // per}",
                values={"loss": before + rise, "before_loss": before, "min_20": before, "before_min_20": before},
            )
        )
    return found


def splits(forget: float, retain: float = 0.0, holdout: float = 0.0, *, seed: int = 0, **keys: int):
    kinds = {"forget": forget, "retain": retain, "holdout": holdout}
    return {kind: records(kind, change, seed=10 * seed + n, **keys) for n, (kind, change) in enumerate(kinds.items())}


def aucs(found):
    return {m.name: m for m in found}


def test_what_changed_is_found_and_what_did_not_is_not() -> None:
    found = aucs(posterior_measures(splits(3.0, 0.0, 3.0)))
    kept, unseen = found["posterior_retain_auc"], found["posterior_holdout_auc"]
    assert kept.split == "forget" and kept.value > 0.95 and kept.low > 0.9 and kept.count == 80
    assert unseen.low < 0.5 < unseen.high or abs(unseen.value - 0.5) < 0.15
    assert "cross-validated" in kept.meaning


def test_a_classifier_of_another_run_is_used_as_it_is() -> None:
    mine = splits(3.0, seed=1)
    found = aucs(posterior_measures(mine, splits(2.0, seed=2)))
    assert (
        found["posterior_retain_auc"].value > 0.95 and "trained on another run" in found["posterior_retain_auc"].meaning
    )
    opposite = aucs(posterior_measures(mine, splits(-2.0, seed=3)))
    assert opposite["posterior_retain_auc"].value < 0.05  # it was told that forgotten texts become likelier


def test_no_cluster_is_on_both_sides_and_both_kinds_are_everywhere() -> None:
    labels = np.array([True] * 60 + [False] * 60)
    clusters = [f"{label}/{i // 3}" for label in (True, False) for i in range(60)]
    tested = []
    for train, test in folds(labels, clusters):
        assert not {clusters[i] for i in train} & {clusters[i] for i in test}
        assert labels[test].any() and not labels[test].all()
        tested += list(test)
    assert sorted(tested) == list(range(120))


def test_features_are_scores_before_and_their_changes() -> None:
    record = Record(
        id="x", split="forget", prompt="", answer="a", values={"loss": 3.0, "before_loss": 1.0, "zlib": 9.0}
    )
    assert features_of(record) == [1.0, 2.0]
    assert features_of(Record(id="x", split="forget", prompt="", answer="a", values={"loss": 3.0})) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({kind: [] for kind in ("forget", "retain")}, "there is no model before"),
        (splits(3.0, count=9), "9 forgotten and 9 other source examples are too few; 10 of each are needed"),
        (splits(3.0, count=18, per=2), "9 forgotten and 9 other"),
    ],
)
def test_what_is_too_little_is_absent_with_its_reason(given: dict, says: str) -> None:
    for found in posterior_measures(given):
        assert found.value is None and says in found.reason


def test_another_run_that_is_too_small_or_has_other_scores_is_named() -> None:
    small = aucs(posterior_measures(splits(3.0), splits(3.0, count=5)))["posterior_retain_auc"]
    assert small.value is None and small.reason.startswith("the other run: 5 forgotten")
    other = splits(3.0)
    for some in other.values():
        for record in some:
            record.values.pop("min_20")  # type: ignore[attr-defined]
    assert aucs(posterior_measures(splits(3.0), other))["posterior_retain_auc"].reason.endswith("it has other scores")
