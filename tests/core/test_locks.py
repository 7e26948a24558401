"""A folder belongs to one process at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from forgetting.core import locks
from forgetting.core.errors import RunError
from forgetting.core.locks import held_by_system, is_held, locked, wait_until_free

HOLDER = """
import sys
from pathlib import Path
from forgetting.core.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
WITHOUT_FCNTL = """
import sys
sys.modules["fcntl"] = None
import forgetting.core.locks, forgetting.core.cache, forgetting.runs.folder, forgetting.pipeline.finished_run.purge
import forgetting.pipeline.run.run, forgetting.pipeline.sweep.run
"""


def test_another_process_is_reported_or_waited_for(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert is_held(tmp_path)
    with pytest.raises(RunError, match="another process is using"), locked(tmp_path):
        pass
    asked: list[bool] = []

    def wait() -> None:
        asked.append(is_held(tmp_path))
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()

    with locked(tmp_path, wait):
        assert asked == [True]
    assert holder.wait(60) == 0


def test_a_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "one"
    assert not is_held(folder)
    with locked(folder):
        assert folder.is_dir()
    assert not is_held(folder)
    with locked(folder):
        pass


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file/run: cannot be written"), locked(tmp_path / "file" / "run"):
        pass


def test_runs_and_sweeps_are_imported_on_a_machine_without_fcntl() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_FCNTL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_waiting_for_a_folder_ends_when_it_is_free_or_the_time_is_over(tmp_path: Path) -> None:
    with locked(tmp_path):
        start = time.monotonic()
        wait_until_free(tmp_path, 0.3)
        assert 0.3 <= time.monotonic() - start < 5
    start = time.monotonic()
    wait_until_free(tmp_path, 60)
    wait_until_free(tmp_path / "none", 60)
    assert time.monotonic() - start < 5


def test_a_lock_of_the_system_is_one_that_others_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_by_system(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), held_by_system(tmp_path / "file"):
        pass
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(locks, "FileLock", filelock.SoftFileLock)
    with pytest.raises(RunError, match="has no locks"), held_by_system(tmp_path / "new"):
        pass
