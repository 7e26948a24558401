"""A folder takes the run that it holds or begins with, and no other recipe, data or model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.folder import written_whole
from forgetting.core.locks import is_held
from forgetting.runs.began import MEASURED, REDACTED
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.reading import write_object
from forgetting.runs.same_run import check_data, check_takes, holds
from tests.runs.test_folder import DIGESTS, train


@pytest.mark.parametrize("redact", [False, True])
def test_a_run_that_trained_resumes_with_its_data_or_not_at_all(tmp_path: Path, redact: bool) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.opened("name: run", DIGESTS, {"threads": 1}, redact=redact) as opened:
        assert is_held(folder.path)
        assert (opened.redactor is not None) == redact
        train(opened)
    assert not is_held(folder.path)
    assert folder.environment() == {"threads": 1}
    assert ("aaaa" in folder.data_file.read_text()) != redact
    assert (REDACTED in json.loads(folder.data_file.read_text())) == redact
    check_data(folder, DIGESTS)
    check_takes(folder, "name: run")
    with pytest.raises(RunError, match="its forget data have changed"):
        check_data(folder, {**DIGESTS, "unlearn": {"forget": "cccc"}})
    with pytest.raises(RunError, match="its forget split that it measures has changed"):
        check_data(folder, {**DIGESTS, MEASURED: {"forget": "cccc"}})
    with pytest.raises(RunError, match="holds a run of another recipe"):
        check_takes(folder, "name: other")


def test_a_run_that_was_killed_while_a_checkpoint_took_the_place_of_another_has_trained(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.opened("seed: 0\n", DIGESTS, {}, redact=False) as opened:
        opened.evaluations.write(Evaluation(point="before"), [])
    last = run.stage("unlearn").last
    for _ in range(2):
        with written_whole(last) as partial:
            (partial / "state.json").write_text("{}")
    last.rename(last.with_name(f".{last.name}.old"))
    assert run.has_trained
    with pytest.raises(RunError, match=r"holds a run of another recipe: seed was 0, now it is 5"):
        check_takes(run, "seed: 5\n")
    with pytest.raises(RunError, match="forget data have changed since it began"):
        check_data(run, {**DIGESTS, "unlearn": {"forget": "cccc"}})
    with run.opened("seed: 0\n", DIGESTS, {}, redact=False) as opened:
        assert opened.evaluations.find(Evaluation(point="before")) is not None


def test_what_a_kill_in_the_first_moments_left_is_taken_and_cleared(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    for left in (".lock", ".recipe.yaml.host.7.partial", ".data.json.host.7.partial"):
        (folder.path / left).write_text("na")
    check_takes(folder, "name: run")
    with folder.opened("name: run", DIGESTS, {}, redact=False):
        pass
    assert sorted(file.name for file in folder.path.iterdir()) == ["data.json", "environment.json", "recipe.yaml"]


def test_of_another_recipe_the_first_key_that_differs_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe("name: run\nseed: 0\nstages:\n- {name: unlearn, learning_rate: 0.0001}\n")
    train(folder)
    for recipe, said in (
        ("seed: 1\nname: run\nstages:\n- {name: unlearn, learning_rate: 0.0001}\n", "seed was 0, now it is 1"),
        (
            "name: run\nseed: 0\nstages: [{name: unlearn, learning_rate: 0.001}]",
            "stages.unlearn.learning_rate was 0.0001, now it is 0.001",
        ),
        (
            "name: run\nseed: [3]\nstages: [{name: unlearn, learning_rate: 1.0e-4}]\n",
            'seed.0 was "not written", now it is 3',
        ),
        ("name: run\nseed: 0\nstages: []\n", "stages.unlearn.name was 'unlearn', now it is \"not written\""),
    ):
        with pytest.raises(RunError, match="holds a run of another recipe: ") as error:
            check_takes(folder, recipe)
        assert said.replace('"not written"', "'not written'") in str(error.value)
    check_takes(folder, "stages: [{learning_rate: 1.0e-4, name: unlearn}]\nname: run\nseed: 0\n")
    check_takes(folder, "seed: 1", lambda text: text.replace("name: run\n", "").replace("0", "1").split("stages")[0])


@pytest.mark.parametrize("name", ["null", "forget10"])
def test_entries_of_a_list_without_names_of_their_own_are_known_by_their_places(tmp_path: Path, name: str) -> None:
    folder, sources = RunFolder(tmp_path / "run"), "data:\n  forget: [{{path: {}, name: {}}}, {{path: b, name: {}}}]\n"
    folder.write_recipe(sources.format("a", name, name))
    train(folder)
    with pytest.raises(RunError, match=r"another recipe: data\.forget\.0\.path was 'a', now it is 'c';"):
        check_takes(folder, sources.format("c", name, name))
    assert not holds(folder, sources.format("c", name, name), str)


@pytest.mark.parametrize("text", [b"x: [", b"\xff\xfe", b""])
def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path, text: bytes) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe("name: run")
    train(folder)
    folder.recipe_file.write_bytes(text)
    with pytest.raises(RunError, match=r"recipe\.yaml: cannot be read .*; bring it back, or remove") as error:
        check_takes(folder, "name: run")
    assert "\n" not in str(error.value)
    folder.recipe_file.unlink()
    with pytest.raises(RunError, match=r"its recipe\.yaml is missing; bring it back, or remove"):
        check_takes(folder, "name: run")


def test_a_folder_of_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and not a run"):
        check_takes(RunFolder(tmp_path), "name: run")


@pytest.mark.parametrize("other", [{"step": 3, "seconds": 1.5}, {"python": "3.11"}, {"another": {"forget": "aaaa"}}])
def test_another_file_in_the_place_of_the_digests_is_refused(tmp_path: Path, other: dict) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.opened("name: run", DIGESTS, {}, redact=False):
        train(folder)
    write_object(folder.data_file, other)
    with pytest.raises(RunError, match=r"data\.json: .*; remove the file and start the run again"):
        check_data(folder, DIGESTS)
