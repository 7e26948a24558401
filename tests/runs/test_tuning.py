"""The trials of a tuning as values."""

from pathlib import Path

from forgetting.runs.sweep import SweepFolder, SweepResults
from forgetting.runs.tuning import Trial, Tuning, best_of


def trial(number: int, value: float | None, state: str = "complete", method: str = "npo") -> Trial:
    point = {"learning_rate": 10.0**-number}
    return Trial(
        method=method,
        number=number,
        name=f"{method}-{number}",
        point=point,
        state=state,  # type: ignore[arg-type]
        value=value,
        steps={12: 0.25},
    )


def test_the_best_is_complete_and_the_first_of_equals() -> None:
    found = best_of([trial(0, 0.2), trial(1, None, "pruned"), trial(2, 0.7), trial(3, 0.7), trial(4, None, "failed")])
    assert found is not None and found.number == 2
    assert best_of([trial(0, 0.0)]) == trial(0, 0.0)
    assert best_of([trial(0, None, "pruned")]) is None


def test_a_tuning_comes_back_from_the_file_as_it_was(tmp_path: Path) -> None:
    trials = (trial(0, 0.5), trial(0, None, "failed", "graddiff"))
    tuning = Tuning(
        stage="unlearn",
        budget=1,
        rule="the highest",
        space={"npo": {"learning_rate": "1 to 2"}, "graddiff": {}},
        facts={"forget": (39, 39)},
        balanced=("forget",),
        trials=trials,
        chosen={"npo": "npo-0"},
    )
    results = SweepResults(
        folder=tmp_path, name="t", created="2026-01-01", axes={}, replicates=(), columns=(), runs=(), tuning=tuning
    )
    SweepFolder(tmp_path).write_results(results)
    assert SweepResults.load(tmp_path).tuning == tuning
    assert tuning.best("npo") == trials[0] and tuning.best("graddiff") is None
    assert tuning.of("graddiff") == trials[1:] and tuning.keys == ("learning_rate",)
