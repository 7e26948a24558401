"""Tasks of the harness by name: what cannot be asked is refused in one line, before any data is fetched."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetting.core.errors import DataError, RecipeError
from forgetting.evaluation import harness_tasks
from forgetting.evaluation.harness_tasks import HarnessSettings, check_tasks, load_task, task_files
from tests.evaluation.tasks import question, write_task

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")

TEXTS: dict[str, Any] = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{question}}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Task files of one's own: `choose`, and `coded`, which runs code, is tagged `programs` and is in two groups."""
    tasks = tmp_path / "tasks"
    write_task(tasks, "choose", [{"question": question(i)} for i in range(2)], **TEXTS)
    write_task(tasks, "coded", [{"question": question(0)}], unsafe_code=True, tag="programs", **TEXTS)
    groups: dict[str, list[Any]] = {
        "named": ["choose", "coded"],
        "changed": ["choose", {"task": "coded", "num_fewshot": 0}],
        "inner": [{"group": "sub", "task": ["choose", {"group": "named"}]}],
        "tagged": ["programs"],
    }
    for name, members in groups.items():
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump({"group": name, "task": members}))
    return tasks


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The folder's tasks are all there are: reading the built-in ones takes seconds."""
    monkeypatch.setattr(harness_tasks, "_built_in", lambda beside=None: harness_tasks._local(folder))


def test_a_task_rests_on_the_files_of_its_folder_and_the_data_it_names(folder: Path, tmp_path: Path) -> None:
    mine = write_task(tmp_path / "mine", "choose", [{"question": "the"}])
    (tmp_path / "mine" / "choose.jsonl").rename(tmp_path / "data.jsonl")
    task = yaml.safe_load(mine.read_text())
    task["dataset_kwargs"]["data_files"]["test"] = str(tmp_path / "data.jsonl")
    mine.write_text(yaml.safe_dump(task))
    assert task_files(tmp_path / "mine") == [tmp_path / "data.jsonl", mine]


@pytest.mark.usefixtures("alone")
def test_an_unknown_task_gets_the_nearest_name(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"^harness: there is no task 'chose'; did you mean 'choose'\?$"):
        load_task("chose", HarnessSettings(folder=folder))
    with pytest.raises(RecipeError, match=r"there is no task 'zzqq'; `lm-eval ls tasks` lists them$"):
        load_task("zzqq")


def test_a_task_whose_data_is_not_there_is_named(tmp_path: Path) -> None:
    file = write_task(tmp_path / "tasks", "gone", [{"question": "the"}], output_type="loglikelihood_rolling")
    (tmp_path / "tasks" / "gone.jsonl").unlink()
    with pytest.raises(DataError, match=rf"^harness: task 'gone' cannot be set up: .*; fix {file} or the data .*$"):
        load_task("gone", HarnessSettings(folder=tmp_path / "tasks"))


def test_a_folder_without_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such folder; name the folder of your task files$"):
        load_task("choose", HarnessSettings(folder=tmp_path / "none"))
    (tmp_path / "notes.txt").write_text("task: choose")
    with pytest.raises(DataError, match=r"holds no task; a task is a \.yaml file"):
        load_task("choose", HarnessSettings(folder=tmp_path))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", ["coded", "programs", "named", "changed", "inner", "tagged"])
def test_code_is_found_in_groups_and_tags_before_any_data_is_fetched(folder: Path, name: str) -> None:
    (folder / "choose.jsonl").unlink()
    (folder / "coded.jsonl").unlink()
    settings = HarnessSettings(folder=folder)
    for refuse in (lambda: check_tasks(["choose", name], settings), lambda: load_task(name, settings)):
        with pytest.raises(
            RecipeError, match=r"^harness: task 'coded' runs code that the model writes; run_code=yes allows it"
        ):
            refuse()
    check_tasks(["choose", name], HarnessSettings(folder=folder, run_code=True))


@pytest.mark.usefixtures("alone")
def test_a_group_that_holds_itself_ends(folder: Path) -> None:
    (folder / "round.yaml").write_text(yaml.safe_dump({"group": "round", "task": ["round", "choose"]}))
    assert check_tasks(["round"], HarnessSettings(folder=folder)) == {"round": {"choose": ()}}


@pytest.mark.usefixtures("alone")
def test_a_name_close_to_a_lists_points_to_the_list(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"no task 'codng'; did you mean 'coding'\?$"):
        check_tasks(["codng"], HarnessSettings(folder=folder), lists=["coding", "maths"])


def test_without_the_harness_checking_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setattr(harness_tasks, "_built_in", harness_tasks._built_in.__wrapped__)  # not what was read before
    with pytest.raises(RecipeError, match=r"not installed .*; pip install 'forgetting\[harness\]'$"):
        check_tasks(["piqa"])


@pytest.mark.slow
def test_built_in_tasks_are_known(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"'arc_esy'; did you mean 'arc_easy'\?"):
        load_task("arc_esy", HarnessSettings(folder=folder))
    with pytest.raises(RecipeError, match="task 'humaneval' runs code"):
        load_task("humaneval")
