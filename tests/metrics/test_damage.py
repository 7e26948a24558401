"""Damage is a loss of more than a tenth of what should stay, beyond noise."""

from __future__ import annotations

import pytest

from forgetting.core.declaration import Balance, Declaration, Extraction
from forgetting.core.measure import Measure
from forgetting.metrics.damage import damaged

DECLARED = Declaration(
    alarm=("retain/probability", "text/perplexity"),
    balance=Balance(forget="forget/probability", retain="retain/probability", utility="all/model_utility"),
    extraction=Extraction(forget="forget", unseen="never", n=10),
)


def measure(key: str, value: float | None, noise: float | None = 0.01, count: int = 9) -> Measure:
    split, name = key.split("/")
    ends = {} if value is None or noise is None else {"low": value - noise, "high": value + noise}
    return Measure(
        name=name, split=split, value=value, count=count, direction="down" if name == "perplexity" else "up", **ends
    )


@pytest.mark.parametrize(
    ("key", "start", "now", "lost"),
    [
        ("retain/probability", 0.9, 0.82, False),  # less than a tenth
        ("retain/probability", 0.9, 0.8, True),
        ("all/model_utility", 0.5, 0.4, True),
        ("never/probability", 0.25, 0.2, True),  # nothing that should stay was measured: unseen text stands in
        ("never/probability", 0.2, 0.25, False),
        ("never/memorization_accuracy", 0.55, 0.477, False),  # a shared form; the goal compares it
        ("text/perplexity", 20.0, 22.0, False),
        ("text/perplexity", 20.0, 23.0, True),
        ("text/perplexity", 20.0, 10.0, False),
        ("retain/probability", 0.9, None, True),  # it could be measured at the start, and cannot now
        ("retain/probability", 0.0, 0.0, False),
        ("retain/probability", 0.008, 0.0001, False),  # nearly nothing: a share of it says nothing
        ("retain/probability", None, 0.1, False),
        ("forget/probability", 0.9, 0.1, False),  # that is no damage
        ("other/probability", 0.9, 0.1, False),  # not declared
    ],
)
def test_what_is_damage(key: str, start: float | None, now: float | None, lost: bool) -> None:
    assert damaged(DECLARED, [measure(key, start)], [measure(key, now)]) == ((key,) if lost else ())


def test_a_loss_of_what_is_not_told_from_nothing_is_none() -> None:
    start, now = (measure("retain/probability", value, 0.0001) for value in (0.0009, 0.0004))
    assert damaged(DECLARED, [start], [now]) == ()
    start, now = (measure("retain/probability", value, 0.0001) for value in (0.0025, 0.0004))  # an untrained model's
    assert damaged(DECLARED, [start], [now]) == ("retain/probability",)
    start, now = (measure("text/perplexity", value, 0.0001) for value in (0.008, 0.02))  # no share, no floor
    assert damaged(DECLARED, [start], [now]) == ("text/perplexity",)


@pytest.mark.parametrize(("count", "lost"), [(5, True), (6, False)])
def test_intervals_of_a_few_examples_excuse_no_loss(count: int, lost: bool) -> None:
    """Wilson's interval of 4 texts spans the half: with all four lost a goal was reached."""
    start, now = (measure("retain/probability", value, 0.5, count) for value in (0.95, 0.01))
    assert damaged(DECLARED, [start], [now]) == (("retain/probability",) if lost else ())


@pytest.mark.parametrize(("noise", "lost"), [(0.1, True), (0.3, False), (None, True)])
def test_a_loss_within_noise_is_none(noise: float | None, lost: bool) -> None:
    start, now = (measure("retain/probability", value, noise) for value in (0.9, 0.6))
    assert bool(damaged(DECLARED, [start], [now])) is lost


def test_what_was_not_measured_on_both_sides_shows_nothing() -> None:
    assert damaged(DECLARED, [measure("retain/probability", 0.9)], []) == ()
    assert damaged(Declaration(), [measure("retain/probability", 0.9)], [measure("retain/probability", 0.1)]) == ()


@pytest.mark.parametrize(
    ("retained", "lost"),
    [
        ((0.93, 0.88), ()),  # 20 customer records: unseen records share their form
        ((0.93, 0.70), ("retain/probability",)),
        ((0.0, 0.0), ("never/probability",)),  # nothing to lose there
        (None, ("never/probability",)),
    ],
)
def test_unseen_text_stands_in_only_where_nothing_that_should_stay_can_show_damage(
    retained: tuple[float, float] | None, lost: tuple[str, ...]
) -> None:
    start, now = [measure("never/probability", 0.082)], [measure("never/probability", 0.021)]
    if retained is not None:
        start.append(measure("retain/probability", retained[0]))
        now.append(measure("retain/probability", retained[1]))
    assert damaged(DECLARED, start, now) == lost
