"""What a run of a row measured of itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.pipeline.reproduce.row import own_measures
from forgetting.runs.results import Cost, Results
from forgetting.runs.stage_result import StageResult


def test_what_a_run_says_of_itself_is_in_minutes_of_its_parts() -> None:
    first = StageResult(name="reference", method="sft", epochs=1.0, trainable=10, of=1000, train_seconds=600.0)
    last = replace(first, name="train", train_seconds=3000.0, scoring_seconds=1200.0)
    cost = Cost(prepare_seconds=1201.0, train_seconds=3600.0)
    results = Results(folder=Path("x"), name="x", status="complete", stages=(first, last), cost=cost)
    said = {m.key: m.value for m in own_measures(results)}
    assert said == {
        "reference/minutes": 10.0,
        "scoring/minutes": 20.0,
        "stage/minutes": 50.0,
        "run/minutes": pytest.approx(4801 / 60),
        "stage/epochs": 1.0,
        "stage/trainable_share": 0.01,
    }
    unscored = replace(results, stages=(first, replace(last, scoring_seconds=None)))
    [scoring] = [m for m in own_measures(unscored) if m.split == "scoring"]
    assert (scoring.value, scoring.reason) == (None, "no tokens were scored")
