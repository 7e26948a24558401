"""What a run of a row measured of itself."""

import pytest

from forgetting.pipeline.reproduce.row import own_measures


def test_what_a_run_says_of_itself_is_in_minutes_of_its_parts() -> None:
    stage = {"epochs": 1.0, "trainable": 10, "of": 1000}
    results = {
        "stages": [
            {**stage, "name": "reference", "train_seconds": 600.0, "scoring_seconds": None},
            {**stage, "name": "train", "train_seconds": 3000.0, "scoring_seconds": 1200.0},
        ],
        "cost": {"prepare_seconds": 1201.0, "train_seconds": 3600.0},
    }
    said = {m.key: m.value for m in own_measures(results)}
    assert said == {
        "reference/minutes": 10.0,
        "scoring/minutes": 20.0,
        "stage/minutes": 50.0,
        "run/minutes": pytest.approx(4801 / 60),
        "stage/epochs": 1.0,
        "stage/trainable_share": 0.01,
    }
    results["stages"][1]["scoring_seconds"] = None
    [scoring] = [m for m in own_measures(results) if m.split == "scoring"]
    assert (scoring.value, scoring.reason) == (None, "no tokens were scored")
