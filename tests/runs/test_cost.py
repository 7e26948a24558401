"""What a run took, as measures that tables and sweeps show beside its others."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.runs.cost import own_measures
from forgetting.runs.results import Cost, Results
from forgetting.runs.stage_result import StageResult

FIRST = StageResult(name="reference", method="sft", epochs=1.0, steps=7, trainable=10, of=1000, train_seconds=600.0)
LAST = replace(FIRST, name="train", steps=9, train_seconds=3000.0, scoring_seconds=1200.0)
FLOPS = {"forget": 0, "train": 5e15, "importance": 1e15, "evaluation": 9e15, "total": 15e15}


def results(last: StageResult = LAST, **cost: object) -> Results:
    whole = Cost(prepare_seconds=1201.0, train_seconds=3600.0, **cost)  # type: ignore[arg-type]
    return Results(folder=Path("x"), name="x", status="complete", stages=(FIRST, last), cost=whole)


def test_what_a_run_says_of_itself_is_in_minutes_and_flops_of_its_parts() -> None:
    said = {m.key: m.value for m in own_measures(results(flops=FLOPS))}
    assert said == {
        "reference/minutes": 10.0,
        "scoring/minutes": 20.0,
        "stage/minutes": 50.0,
        "run/minutes": pytest.approx(4801 / 60),
        "run/flops": 6e15,  # without evaluations
        "stage/epochs": 1.0,
        "stage/steps": 9,
        "stage/trainable_share": 0.01,
    }
    assert all(m.meaning and not m.reason for m in own_measures(results(flops=FLOPS)))


def test_what_is_not_known_has_a_reason_and_no_number() -> None:
    transformed = replace(LAST, scoring_seconds=None, trainable=0, of=0)
    found = {m.key: m for m in own_measures(results(transformed, flops={"reason": "experts"}))}
    reasons = {key: m.reason for key, m in found.items() if m.value is None}
    assert reasons == {
        "scoring/minutes": "no tokens were scored",
        "run/flops": "experts",
        "stage/trainable_share": "the stage trains no weights",
    }
    assert next(m for m in own_measures(results()) if m.name == "flops").reason == "not counted"
