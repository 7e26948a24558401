"""A folder belongs to one process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.locks import is_held, locked

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
