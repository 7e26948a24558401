"""Measures are told apart only by intervals that do not meet."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.measure import Measure
from forgetting.report.verdict.distance import distance_to_oracle
from forgetting.report.verdict.intervals import Relation, reason_at, relation, signed, value_at, way
from forgetting.report.verdict.models import Models
from forgetting.runs.evaluation import Evaluation
from tests.report.fixtures import GA_RUN, IHL_RUN, load


def measure(low: float | None, high: float | None) -> Measure:
    return Measure(name="probability", split="forget", value=0.5, count=10, low=low, high=high)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.1, 0.2), (0.3, 0.4), "lower"),
        ((0.3, 0.4), (0.1, 0.2), "higher"),
        ((0.1, 0.3), (0.3, 0.4), "overlap"),
        ((0.1, 0.9), (0.3, 0.4), "overlap"),
        ((None, None), (0.3, 0.4), "unclear"),
        ((0.3, 0.4), (None, None), "unclear"),
    ],
)
def test_relations(
    one: tuple[float | None, float | None], other: tuple[float | None, float | None], expected: Relation
) -> None:
    assert relation(measure(*one), measure(*other)) == expected


def test_the_distance_to_the_oracle_has_the_range_of_the_runs_interval(tmp_path: Path) -> None:
    ihl, ga = load(tmp_path, IHL_RUN, GA_RUN)
    near, far = (
        distance_to_oracle(m.run.name, m.after, m.oracle, "forget/probability") for m in map(Models.of, (ihl, ga))
    )
    assert near is not None
    assert far is not None
    assert near.value == pytest.approx(0.02)
    assert near.low == 0  # the oracle's 0.21 lies inside 0.118–0.291
    assert near.high == pytest.approx(0.21 - 0.1182, abs=1e-3)
    assert far.low == pytest.approx(0.21 - 0.0469, abs=1e-3)
    assert far.high == pytest.approx(0.21)


def test_a_distance_without_an_interval_can_be_anything(tmp_path: Path) -> None:
    (run,) = load(tmp_path, IHL_RUN)
    models = Models.of(run)
    distance = distance_to_oracle("ihl", models.after, models.oracle, "all/model_utility")
    assert distance is not None
    assert (distance.low, distance.high) == (0.0, math.inf)
    assert distance_to_oracle("ihl", models.after, models.oracle, "forget/unknown") is None


def test_an_absent_value_has_a_reason() -> None:
    missing = Measure(name="rouge", split="forget", value=None, count=0, reason="no answers")
    evaluation = Evaluation(point="after", measures=(missing,))
    assert value_at(evaluation, "forget/rouge") is None
    assert reason_at(evaluation, "forget/rouge") == "no answers"
    assert reason_at(evaluation, "forget/loss") == "it is not part of that evaluation"
    assert reason_at(None, "forget/rouge") == "the model was not measured at that point"
    assert reason_at(evaluation, None) == "no suite declares such a measure"


def test_a_way_goes_by_step_through_what_was_measured_whole(tmp_path: Path) -> None:
    early = replace(IHL_RUN, steps=10, epochs=(5, 20))
    (run,) = load(tmp_path, early)
    stops = way(run, ("forget/probability", "retain/probability"))
    assert [(stop.step, stop.point) for stop in stops] == [(0, "before"), (5, "epoch"), (10, "after"), (20, "epoch")]
    assert [m.key for m in stops[0].measures] == ["forget/probability", "retain/probability"]
    assert [stop.point for stop in way(run, ("forget/forget_quality",))] == ["before", "after"]
    assert way(run, ("forget/probability", None)) == []


def test_a_later_stage_goes_on_where_the_one_before_it_ended(tmp_path: Path) -> None:
    (run,) = load(tmp_path, replace(IHL_RUN, steps=10, epochs=(5,)))
    again = [replace(e, stage="again") for e in run.evaluations if e.point in {"epoch", "after"}]
    stages = (*run.stages, replace(run.stages[0], name="again"))
    both = replace(run, stages=stages, evaluations=(*run.evaluations, *again))
    assert [stop.step for stop in way(both, ("forget/probability",))] == [0, 5, 10, 15, 20]


def test_a_difference_of_rounding_alone_is_none() -> None:
    assert (signed(9.8e-19), signed(-2e-16), signed(-3e-5)) == ("0.000", "0.000", "−3·10⁻⁵")
