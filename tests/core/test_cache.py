"""An entry of a cache is complete or computed again, and computed by one process while the others wait."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from forgetting.core import cache as cache_module
from forgetting.core.cache import MANIFEST, Cache, Entry
from forgetting.core.errors import RunError


def fill(entry: Entry, text: str = "1\n2\n3\n") -> None:
    (entry.folder / "part").mkdir(exist_ok=True)
    (entry.folder / "values.txt").write_text(text)
    (entry.folder / "part" / "more.txt").write_text(text * 2)
    entry.complete(3)


def test_an_entry_is_incomplete_until_it_is_marked(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "kind")
    with cache.entry("key") as entry:
        assert entry.folder == tmp_path / "kind" / "key"
        assert not entry.is_complete()
        (entry.folder / "values.txt").write_text("1\n2\n")
        assert not entry.is_complete()
        fill(entry)
    with cache.entry("key") as again:
        assert again.is_complete()
        assert again.count == 3
        assert (again.folder / "values.txt").read_text() == "1\n2\n3\n"


@pytest.mark.parametrize("name", ["values.txt", "part/more.txt", MANIFEST])
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_entry_is_reported_and_removed(tmp_path: Path, name: str, harm: str) -> None:
    said: list[str] = []
    with Cache(tmp_path).entry("key") as entry:
        fill(entry)
        file = entry.folder / name
        content = file.read_bytes()
        if harm == "remove":
            file.unlink()
        else:
            file.write_bytes(content[:-3] if harm == "cut" else bytes([content[0] ^ 1]) + content[1:])
        assert not entry.is_complete(said.append)
        if (name, harm) != (MANIFEST, "remove"):  # without it nothing was ever finished, and a maker may resume
            assert "computing it again" in said[0]
            assert [path.name for path in entry.folder.iterdir()] == [".lock"]
        fill(entry)
        assert entry.is_complete()


def test_only_the_named_files_belong_to_an_entry(tmp_path: Path) -> None:
    with Cache(tmp_path).entry("key") as entry:
        (entry.folder / "kept").write_text("a")
        (entry.folder / "scratch").write_text("b")
        entry.complete(1, ["kept"])
        (entry.folder / "scratch").write_text("c")
        assert entry.is_complete()
        (entry.folder / "kept").write_text("c")
        assert not entry.is_complete()


def test_everything_is_on_disk_before_the_entry_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(cache_module, "sync", synced.append)
    original = cache_module.write_text

    def marked(path: Path, text: str) -> None:
        assert {file.name for file in synced} == {"values.txt", "more.txt"}
        original(path, text)

    monkeypatch.setattr(cache_module, "write_text", marked)
    with Cache(tmp_path).entry("key") as entry:
        fill(entry)
        assert entry.is_complete()


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), Cache(tmp_path / "file").entry("key"):
        pass
    with Cache(tmp_path).entry("key") as entry, pytest.raises(RunError, match="cannot be written"):
        entry.complete(1, ["never written"])


def compute(folder: Path, end: Connection, slow: bool) -> None:
    """Makes the entry where nobody has, and tells whether it did and whether it waited."""
    waited: list[bool] = []
    with Cache(folder).entry("key", wait=lambda: waited.append(True)) as entry:
        made = not entry.is_complete()
        if made:
            end.send("begun")
            if slow:
                time.sleep(60)
            fill(entry)
    end.send((made, bool(waited)))


def started(folder: Path, slow: bool) -> tuple[multiprocessing.Process, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=compute, args=(folder, theirs, slow), daemon=True)
    process.start()
    return process, ours  # type: ignore[return-value]


def test_one_process_computes_an_entry_and_another_waits_for_it(tmp_path: Path) -> None:
    with Cache(tmp_path).entry("key") as entry:
        process, end = started(tmp_path, slow=False)
        assert not end.poll(2)
        fill(entry)
    assert end.poll(60)
    assert end.recv() == (False, True)
    process.join(60)


def test_an_entry_whose_maker_was_killed_is_computed_by_the_next(tmp_path: Path) -> None:
    process, end = started(tmp_path, slow=True)
    assert end.recv() == "begun"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    with Cache(tmp_path).entry("key") as entry:
        assert not entry.is_complete()
        fill(entry)
        assert entry.is_complete()
