"""A folder is whole or absent."""

from pathlib import Path

import pytest

from forgetting.models.adapters.folder import whole_folder


def test_a_folder_appears_when_all_is_written(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "deep" / "out") as partial:
        (partial / "a.txt").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "a.txt").read_text() == "1"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as partial:
        (partial / "a.txt").write_text("old")
    with pytest.raises(KeyError), whole_folder(tmp_path / "out") as partial:
        (partial / "b.txt").write_text("half")
        raise KeyError
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.txt")] == ["out/a.txt"]


def test_what_was_there_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        with whole_folder(tmp_path / "out") as partial:
            (partial / name).write_text(name)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.txt")] == ["out/b.txt"]


def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.replaced").mkdir()
    (tmp_path / "out.replaced" / "a.txt").write_text("old")
    with pytest.raises(KeyError), whole_folder(tmp_path / "out"):
        raise KeyError
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
