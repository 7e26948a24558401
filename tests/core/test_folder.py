"""A folder is whole or absent, wherever the writing was cut off."""

import subprocess
from pathlib import Path
from socket import gethostname

import pytest
from safetensors import SafetensorError

from forgetting.core import folder as folder_module
from forgetting.core.errors import RunError
from forgetting.core.folder import (
    MARK,
    check_suffix,
    damage,
    is_complete,
    is_kept,
    recover,
    remove_partial,
    write_text,
    written_whole,
)
from forgetting.core.record import Record, write_records


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def write(folder: Path, text: str) -> None:
    with written_whole(folder) as partial:
        (partial / "file").write_text(text)


def test_a_written_folder_is_complete_and_replaces_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "last"
    write(folder, "one")
    assert is_complete(folder) and (folder / "file").read_text() == "one"
    write(folder, "two")
    assert (folder / "file").read_text() == "two"
    assert [p.name for p in folder.parent.iterdir()] == ["last"]
    assert not recover(folder)


def test_a_kill_while_writing_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    write(folder, "one")
    with pytest.raises(Killed), written_whole(folder) as partial:
        (partial / "file").write_text("tw")
        raise Killed
    assert (folder / "file").read_text() == "one" and is_complete(folder)
    assert recover(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["last"]
    assert not recover(folder)


def test_a_kill_in_the_first_writing_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    with pytest.raises(Killed), written_whole(folder):
        raise Killed
    assert recover(folder)
    assert not folder.exists() and not is_complete(folder) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("survives", [1, 2])
def test_a_kill_between_the_renames_leaves_one_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    folder = tmp_path / "last"
    write(folder, "one")
    rename, done = Path.rename, []

    def killed_after(self: Path, target: Path) -> Path:
        if len(done) == survives:
            raise Killed
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed_after)
        if survives == 1:
            with pytest.raises(Killed):
                write(folder, "two")
            assert not folder.exists() and not is_complete(folder) and is_kept(folder)
        else:
            write(folder, "two")
    recover(folder)
    assert is_complete(folder) and (folder / "file").read_text() == ("one" if survives == 1 else "two")
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_a_folder_without_its_mark_is_thrown_away(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    folder.mkdir()
    (folder / "file").write_text("half")
    assert recover(folder)
    assert not folder.exists()


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunError, match="cannot be written"):
        write(tmp_path / "taken" / "last", "x")
    with pytest.raises(RunError, match="cannot be written"):
        write_text(tmp_path / "taken" / "note.txt", "x")


def test_a_text_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deep" / "note.txt"
    write_text(file, "één")

    def killed(self: Path, target: Path) -> Path:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            write_text(file, "two")
    assert file.read_text(encoding="utf-8") == "één"
    write_text(file, "two")
    assert file.read_text() == "two" and [p.name for p in file.parent.iterdir()] == ["note.txt"]


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(folder, "old")
    with pytest.raises(KeyError), written_whole(folder) as partial:
        (partial / "file").write_text("half")
        raise KeyError
    assert (folder / "file").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_knows_what_was_damaged_after_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    with written_whole(folder) as partial:
        (partial / "file").write_text("one")
        (partial / "in").mkdir()
        (partial / "in" / "other").write_text("two")
    assert damage(folder) == ""
    (folder / "added later").write_text("is not looked at")
    assert damage(folder) == ""
    (folder / "in" / "other").write_text("twO")
    assert damage(folder) == f"{folder}: in/other is damaged"
    (folder / "file").unlink()
    assert damage(folder) == f"{folder}: file is missing"
    mark = (folder / MARK).read_text()
    (folder / MARK).write_text(mark[:-5])
    assert damage(folder) == f"{folder}: {MARK} is damaged"
    (folder / MARK).write_text("")
    assert damage(folder) == f"{folder}: {MARK} is damaged"


def test_a_folder_of_a_version_without_digests_is_read_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    with written_whole(folder) as partial:
        (partial / "file").write_text("one")
    mark = (folder / MARK).rename(folder / "COMPLETE")
    (folder / "file").write_text("two")
    assert is_complete(folder) and damage(folder) == f"{folder}: file is damaged"
    mark.write_text("")
    assert is_complete(folder) and damage(folder) == ""
    with written_whole(folder) as partial:
        (partial / "file").write_text("three")
    assert [path.name for path in sorted(folder.iterdir())] == [MARK, "file"]


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_text(file, "one")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "sync", full)
    with pytest.raises(RunError, match=r"file: cannot be written \(No space left on device\); free space"):
        write_text(file, "two")
    with pytest.raises(RunError, match="cannot be written"):
        write_records(tmp_path / "records", [Record(id="q", split="forget", prompt="", answer="")])
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and file.read_text() == "one"


def test_what_a_killed_process_left_of_a_file_is_removed_when_it_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    done = subprocess.Popen(["true"])
    done.wait()
    dead = tmp_path / f".file.{gethostname()}.{done.pid}.partial"
    elsewhere, alive = tmp_path / ".file.another-host.1.partial", tmp_path / f".file.{gethostname()}.1.partial"
    for path in (dead, elsewhere, alive):
        path.touch()
    write_text(file, "one")
    assert not dead.exists() and elsewhere.exists() and alive.exists()
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError("No space left on device"),
        Exception("No space left on device (os error 28)"),  # of a tokenizer
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(RunError, match=r"model: cannot be written \(No space left on device.*\); free space"),
        written_whole(tmp_path / "model"),
    ):
        raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [".", "", "..", "/"])
def test_what_ends_in_no_name_is_no_place_to_write(path: str) -> None:
    for write_to in (lambda: write_text(Path(path), "x"), lambda: write(Path(path), "x")):
        with pytest.raises(RunError, match=f"'{Path(path)}' names no new file or folder"):
            write_to()


def test_a_file_of_another_kind_is_not_replaced() -> None:
    check_suffix(Path("a.HTML"), ".html", ".htm")
    with pytest.raises(
        RunError, match=r"a/b\.json: would be written as \.html; choose a name that ends in \.html or \.htm"
    ):
        check_suffix(Path("a/b.json"), ".html", ".htm")
