"""Movement is a share of the way from the start to the oracle, to unseen text, or to 0."""

import pytest

from forgetting.core.declaration import Balance, Declaration, Extraction
from forgetting.core.measure import Measure
from forgetting.metrics.movement import movement

OWN = Declaration(balance=Balance(forget="forget/probability"))
QUESTIONS = Declaration(balance=OWN.balance, unseen_splits=("unseen",))
PASSAGES = Declaration(balance=OWN.balance, extraction=Extraction(forget="forget", unseen="unseen", n=10))


def at(value: float | None, split: str = "forget") -> Measure:
    return Measure(name="probability", split=split, value=value, count=1)


@pytest.mark.parametrize(
    ("declared", "oracle", "share", "of"),
    [
        (OWN, None, 0.25, ""),
        (PASSAGES, None, 0.4, "unseen"),
        (QUESTIONS, None, 0.4, "unseen"),
        (PASSAGES, [at(0.4)], 0.5, "oracle"),
    ],
)
def test_the_share_of_the_way(declared: Declaration, oracle: list[Measure] | None, share: float, of: str) -> None:
    moved = movement(declared, [at(0.8), at(0.3, "unseen")], [at(0.6), at(0.1, "unseen")], oracle)
    assert moved is not None
    assert (moved.share, moved.goal_of, moved.little) == (pytest.approx(share), of, False)


@pytest.mark.parametrize("now", [0.838, 0.80, 0.9])
def test_a_tenth_of_the_way_is_little(now: float) -> None:
    moved = movement(OWN, [at(0.838)], [at(now)])
    assert moved is not None and moved.little


def test_no_way_no_movement() -> None:
    assert movement(PASSAGES, [at(0.3), at(0.3, "unseen")], [at(0.3)]) is None
    assert movement(OWN, [at(None)], [at(0.3)]) is None
    assert movement(OWN, [at(0.0009)], [at(0.0009)]) is None  # not told from nothing
    assert movement(OWN, [at(0.0011)], [at(0.0011)]) is not None
    assert movement(Declaration(), [at(0.8)], [at(0.3)]) is None
