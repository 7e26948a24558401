"""A sample is said with its seed, and where the mean of all examples lies."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.declaration import Declaration, Headline
from forgetting.core.measure import Measure
from forgetting.metrics.statistics import estimate_mean
from forgetting.report.verdict.measured import measured
from forgetting.report.verdict.samples import of_all, samples
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results

EL = Measure(name="el_10", split="forget", value=0.4, count=20, of=80, low=0.2, high=0.6)
MA = Measure(name="memorization_accuracy", split="forget", value=0.7, count=80, low=0.65, high=0.75)


def run(*measures: Measure, **recipe: object) -> Results:
    declared = Declaration(headline=Headline(forgotten=("forget/el_10",)))
    after = Evaluation(point="after", stage="unlearn", measures=measures)
    return Results(
        folder=Path("x"), name="x", status="complete", evaluations=(after,), recipe=recipe, declaration=declared
    )


def test_it_is_said_with_seed_counts_and_the_narrower_interval_of_all() -> None:
    found = run(EL, MA, sample={"examples": 20, "seed": 3})
    half = 0.2 * math.sqrt(0.75)
    assert of_all(EL) == pytest.approx((0.4 - half, 0.4 + half))
    [finding] = samples([found])
    assert finding.text == (
        "Text was written for 20 of 80 examples of forget, drawn by seed 3. What needs text rests on these; "
        "likelihoods are of all. Of all examples (95 %): forget · el 10 between 0.227 and 0.573."
    )
    assert finding in verdict(found).findings and finding in measured([found])


def test_where_nothing_was_drawn_nothing_is_said() -> None:
    assert samples([run(EL, MA)]) == [] == samples([run(MA, sample={"examples": 200, "seed": 3})])


def test_the_interval_of_all_holds_their_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    every = rng.beta(0.6, 1.5, size=80)
    held = 0
    for trial in range(100):
        drawn = rng.choice(every, 40, replace=False)
        e = estimate_mean(list(drawn), [str(i) for i in range(40)], key=str(trial))
        between = of_all(replace(EL, value=e.value, low=e.low, high=e.high, count=40))
        assert between is not None
        held += between[0] <= every.mean() <= between[1]
    assert 85 <= held <= 100
