"""Which folders an evaluation may be written into."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.locks import LOCK
from forgetting.runs.evaluation_folder import EvaluationFolder


def test_a_new_folder_and_one_that_was_only_begun_are_taken(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path / "e")
    folder.check_takes("a: 1\n")
    folder.path.mkdir()
    (folder.path / LOCK).touch()
    folder.check_takes("a: 1\n")
    folder.settings_file.write_text("a: 1\n")
    folder.check_takes("a: 2\n")  # it holds no results yet
    assert folder.settings_file.read_text() == "a: 1\n"
    assert sorted(folder.path.iterdir()) == sorted([folder.path / LOCK, folder.settings_file])


def test_a_finished_one_is_taken_with_its_own_settings_only(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path)
    folder.settings_file.write_text("a: 1\n")
    folder.results_file.write_text("{}")
    folder.check_takes("a: 1\n")
    with pytest.raises(RunError, match=r"holds another evaluation: a was 1, now it is 2; name another folder"):
        folder.check_takes("a: 2\n")
    folder.check_takes("a: 1\nb: null\n", lambda text: "a: 1\nb: null\n")  # as a later version writes it


@pytest.mark.parametrize(("name", "words"), [("recipe.yaml", "holds a run"), ("x.txt", "holds no evaluation")])
def test_other_folders_and_files_are_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_text("a: 1\n")
    with pytest.raises(RunError, match=words):
        EvaluationFolder(tmp_path).check_takes("a: 1\n")
    with pytest.raises(RunError, match="is a file"):
        EvaluationFolder(tmp_path / name).check_takes("a: 1\n")


def test_what_was_kept_for_a_second_start_goes(tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path)
    (tmp_path / ".cache" / "records").mkdir(parents=True)
    folder.remove_kept()
    assert list(tmp_path.iterdir()) == []
