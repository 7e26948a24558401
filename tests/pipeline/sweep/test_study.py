"""A method's trials on disk, and what is proposed next."""

import sqlite3
import sys
from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError, RunError
from forgetting.core.tunable import OneOf, Tunable
from forgetting.pipeline.sweep.study import FIRST, Study, check_installed, why_pruned
from forgetting.runs.tuning import Trial

pytest.importorskip("optuna")
SPACE = {
    "learning_rate": Tunable(1e-5, 1e-3, log=True),
    "duration": Tunable(30, 120, log=True, whole=True),
    "method.retain": OneOf(("nll", "none")),
}


def study(folder: Path, *, seed: int = 0, recipe: str = "abc", method: str = "npo") -> Study:
    own = {"learning_rate": 1e-4, "duration": 60.0, "method.retain": "nll"}
    return Study(folder / "tune.db", method, SPACE, own, seed, recipe)


def done(number: int, point: dict, value: float | None, state: str = "complete", steps: dict | None = None) -> Trial:
    return Trial(
        method="npo",
        number=number,
        name=f"npo-{number:03d}",
        point=point,
        state=state,  # type: ignore[arg-type]
        value=value,
        steps={12: 0.5} if steps is None else steps,
        note="" if state == "complete" else "why",
    )


def carried_out(study: Study, count: int, width: int = 1) -> list[dict]:
    """Trials with a value that is highest at a rate of 3e-4, up to `count`."""
    while (begun := len(study.trials())) < count:
        for number, point in enumerate(study.propose(min(width, count - begun)), begun):
            study.add(done(number, point, 1.0 - 1000 * abs(float(point["learning_rate"]) - 3e-4)))
    return [dict(trial.point) for trial in study.trials()]


def test_the_first_trial_has_the_recipes_own_settings(tmp_path: Path) -> None:
    assert study(tmp_path).propose(1) == [{"learning_rate": 1e-4, "duration": 60, "method.retain": "nll"}]


def test_the_recipes_own_settings_are_not_rounded(tmp_path: Path) -> None:
    own = {"learning_rate": 1.23456e-4, "duration": 60.0}
    assert Study(tmp_path / "tune.db", "npo", SPACE, own, 0, "abc").propose(1)[0].items() >= own.items()


def test_a_key_that_the_recipe_does_not_fix_is_drawn(tmp_path: Path) -> None:
    loose = Study(tmp_path / "tune.db", "npo", SPACE, {"learning_rate": 1e-4}, 0, "abc")
    (point,) = loose.propose(1)
    assert point["learning_rate"] == 1e-4 and {*point} == {*SPACE}


def test_every_proposal_lies_in_the_space(tmp_path: Path) -> None:
    for point in carried_out(study(tmp_path), FIRST + 3):
        assert all(point[key] in SPACE[key] for key in SPACE)


def test_two_sequential_studies_give_the_same_points(tmp_path: Path) -> None:
    first = carried_out(study(tmp_path / "one"), FIRST + 4)
    assert first == carried_out(study(tmp_path / "two"), FIRST + 4)
    assert len({str(point) for point in first}) == FIRST + 4
    assert first[1:] != carried_out(study(tmp_path / "three", seed=1), FIRST + 4)[1:]


def test_a_study_that_is_opened_again_goes_on_as_if_it_had_not_ended(tmp_path: Path) -> None:
    """What is proposed after a kill is what was running."""
    whole = carried_out(study(tmp_path / "whole"), FIRST + 3)
    for length in range(1, FIRST + 4):
        again = study(tmp_path / "parts")
        if length > 1:
            assert again.propose(1) == again.propose(1) == [whole[length - 1]]
        carried_out(again, length)
    assert [dict(trial.point) for trial in study(tmp_path / "parts").trials()] == whole


def test_trials_of_a_batch_differ_and_begin_with_the_one_that_would_be_alone(tmp_path: Path) -> None:
    mine = study(tmp_path)
    carried_out(mine, FIRST + 1)
    batch = mine.propose(3)
    assert len({str(point) for point in batch}) == 3
    assert batch[:1] == mine.propose(1)
    assert len(mine.trials()) == FIRST + 1  # nothing is written by asking


def test_a_trial_comes_back_as_it_was_written(tmp_path: Path) -> None:
    mine = study(tmp_path)
    point = {"learning_rate": 1e-4, "duration": 60, "method.retain": "none"}
    trials = (
        done(0, point, 0.25, steps={12: 0.1, 24: 0.25}),
        done(1, point, None, "pruned", {12: 0.0}),
        done(2, point, None, "failed", {}),
    )
    for trial in trials:
        mine.add(trial)
    assert study(tmp_path).trials() == trials
    assert study(tmp_path, method="graddiff").trials() == ()


def test_trials_of_another_recipe_are_refused(tmp_path: Path) -> None:
    carried_out(study(tmp_path), 1)
    with pytest.raises(RunError, match=r"tune.db: holds trials of npo with another recipe, space or seed"):
        study(tmp_path, recipe="other").trials()


def test_a_study_without_trials_takes_another_recipe(tmp_path: Path) -> None:
    assert study(tmp_path).trials() == ()  # its first trial failed, and is not added
    carried_out(study(tmp_path, recipe="mended"), 1)
    with pytest.raises(RunError, match="with another recipe"):
        study(tmp_path).trials()


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tune.db").write_text("not a database" * 100)
    with pytest.raises(RunError, match=r"tune.db: cannot be read or written as an Optuna study"):
        study(tmp_path).trials()


@pytest.mark.parametrize(
    "damage",
    [
        "update trial_values set value = 0.75 where trial_id = 1",
        "update trial_intermediate_values set intermediate_value = 0.75 where trial_id = 1",
        "update trial_params set param_value = 2e-4 where trial_id = 1 and param_name = 'learning_rate'",
        "update trial_user_attributes set value_json = '\"npo-007\"' where trial_id = 1 and key = 'name'",
        "update trials set state = 'PRUNED' where trial_id = 1",
        "update trials set state = 'COOPLETE' where trial_id = 1",
        "update trials set datetime_complete = '2026-99-99 00:00:00' where trial_id = 1",
        "update trial_params set distribution_json = '{' where trial_id = 1",
        "delete from trial_user_attributes where trial_id = 1",
        "delete from trials where trial_id = 1",
        "update trials set study_id = 9 where trial_id = 1",
    ],
)
def test_a_trial_that_is_not_as_it_was_written_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    carried_out(study(tmp_path), 2)
    with sqlite3.connect(tmp_path / "tune.db") as file:
        file.execute(damage)
    with pytest.raises(RunError, match=r"tune.db: cannot be read .*; check the disk, or remove this file"):
        study(tmp_path).trials()


def test_a_study_that_its_damaged_index_hides_is_not_begun_anew(tmp_path: Path) -> None:
    carried_out(study(tmp_path), 2)
    file, entry = tmp_path / "tune.db", b"\x03\x13\tnpo"  # of the index: text of three bytes, then the row 1
    whole = file.read_bytes()
    assert whole.count(entry) == 1
    file.write_bytes(whole.replace(entry, entry[:-1] + b"p"))
    with pytest.raises(RunError, match=r"tune.db: cannot be read .*missing from index ix_studies_study_name"):
        study(tmp_path).trials()


def test_a_schema_that_is_not_text_any_more_is_one_line(tmp_path: Path) -> None:
    carried_out(study(tmp_path), 1)
    file = tmp_path / "tune.db"
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE trial_params", b"CREATE TABLE trial_par\xe1ms"))
    with pytest.raises(RunError, match=r"tune.db: cannot be read"):
        study(tmp_path).trials()


def test_trials_of_an_earlier_version_have_no_digest_and_are_read_as_they_are(tmp_path: Path) -> None:
    points = carried_out(study(tmp_path), 2)
    with sqlite3.connect(tmp_path / "tune.db") as file:
        file.execute("delete from trial_user_attributes where key = 'digest'")
    assert [dict(trial.point) for trial in study(tmp_path).trials()] == points


def test_the_file_is_an_optuna_study_for_others_to_read(tmp_path: Path) -> None:
    carried_out(study(tmp_path), 2)
    with sqlite3.connect(tmp_path / "tune.db") as file:
        assert file.execute("select study_name from studies").fetchall() == [("npo",)]
        assert file.execute("select count(*) from trials where state = 'COMPLETE'").fetchall() == [(2,)]


POINT = {"learning_rate": 1e-4}


def complete(*curves: dict[int, float]) -> list[Trial]:
    return [done(i, POINT, max(curve.values()), steps=curve) for i, curve in enumerate(curves)]


def test_a_trial_below_the_median_at_its_step_is_pruned() -> None:
    earlier = complete(*[{12: 0.2, 24: 0.4 + i / 10, 36: 0.9} for i in range(FIRST)])  # median 0.55 at step 24
    said = why_pruned(earlier, {12: 0.1, 24: 0.5})
    assert said.startswith("pruned at step 24") and "0.500" in said and "4 complete trials" in said
    assert why_pruned(earlier, {12: 0.1, 24: 0.6}) == ""
    assert why_pruned(earlier, {18: 0.6, 24: 0.1}) == ""  # its best up to there counts


def test_a_trial_is_not_judged_early() -> None:
    earlier = complete(*[{6: 0.5, 12: 0.7, 24: 0.9} for _ in range(FIRST)])
    assert why_pruned(earlier, {6: 0.0}) == ""  # before half of the shortest trial's steps
    assert why_pruned(earlier, {6: 0.0, 12: 0.0}) != ""
    assert why_pruned(earlier[1:], {6: 0.0, 12: 0.0}) == ""  # before enough are complete
    assert why_pruned(earlier, {}) == ""


def test_a_trial_is_compared_at_equal_steps_with_enough_others() -> None:
    short = [{12: 0.6, 24: 0.9} for _ in range(FIRST)]
    earlier = complete(*short, {12: 0.6, 24: 0.9, 48: 0.95}, {12: 0.6, 24: 0.9, 48: 0.95})
    assert why_pruned(earlier, {12: 0.7, 48: 0.1}) == ""  # two came so far
    assert why_pruned(earlier, {13: 0.0}) == ""  # none was measured there


def test_pruned_and_failed_trials_are_no_measure() -> None:
    others = [done(i, POINT, None, "pruned", {24: 0.9}) for i in range(9)]
    assert why_pruned(others, {24: 0.0}) == ""


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RecipeError, match=r"pip install 'forgetting\[tune\]'"):
        check_installed()
