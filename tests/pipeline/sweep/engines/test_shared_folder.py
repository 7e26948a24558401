"""A probe is seen, with its lock, where its folder is; not elsewhere, and not once it has ended."""

import multiprocessing
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from forgetting.core import locks
from forgetting.core.errors import RunError
from forgetting.pipeline.sweep.engines.engine import attempt
from forgetting.pipeline.sweep.engines.shared_folder import Probe, probed


def look(probe: Probe) -> None:
    probe.check()
    probe.answer("node")


def elsewhere(probe: Probe) -> str | None:
    """What another process says of it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(attempt, (look, probe))


def test_another_process_sees_the_folder_and_its_lock_and_is_seen(tmp_path: Path) -> None:
    with probed(tmp_path / "sweep") as probe:
        assert elsewhere(probe) is None
        replace(probe, delay=0).check_answer("node", "host")
    assert list((tmp_path / "sweep").iterdir()) == []


def test_another_folder_of_that_name_is_refused_with_the_host(tmp_path: Path) -> None:
    with probed(tmp_path / "sweep") as probe:
        there = replace(probe, path=tmp_path / "other" / probe.path.name, delay=0)
        with pytest.raises(RunError, match=r"does not see what was written to .*other; .*choose an output=") as refused:
            there.check()
    assert str(refused.value).startswith(socket.gethostname())


def test_a_folder_whose_locks_do_not_arrive_is_refused(tmp_path: Path) -> None:
    with probed(tmp_path) as probe:
        copy = shutil.copytree(probe.path, tmp_path / "copy")  # its files are seen, and the lock on them is not
        with pytest.raises(RunError, match="does not see the locks in"):
            replace(probe, path=copy, delay=0).check()


def test_a_worker_that_is_not_seen_here_is_refused(tmp_path: Path) -> None:
    with probed(tmp_path) as probe, pytest.raises(RunError, match=r"host-7: what it wrote to .* is not seen here"):
        replace(probe, delay=0).check_answer("node", "host-7")


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "FileLock", filelock.SoftFileLock)
    with pytest.raises(RunError, match="has no locks"), probed(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), probed(tmp_path / "file"):
        pass


def leave(folder: Path) -> None:
    with probed(folder):
        os._exit(9)


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=leave, args=(tmp_path,))
    process.start()
    process.join()
    [left] = tmp_path.iterdir()
    with probed(tmp_path) as first, probed(tmp_path) as second:
        assert not left.exists()
        assert set(tmp_path.iterdir()) == {first.path, second.path}
