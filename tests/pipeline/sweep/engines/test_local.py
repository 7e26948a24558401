"""Tasks on processes that may fail, die or be interrupted: the others go on, and nothing outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.pipeline.sweep.engines.local import Processes


def note_process(folder: str) -> None:
    file = Path(folder) / f"{time.monotonic_ns()}-{os.getpid()}"
    file.write_text(str(os.getpid()))


def fail(what: str) -> None:
    if what == "data":
        raise DataError("rows.jsonl:3: no answer;\nwrite one")
    if what == "bug":
        raise ValueError("two\nlines")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        sys.exit(7)


def sleep(folder: str) -> None:
    note_process(folder)
    time.sleep(60)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def wait_until(true: Callable[[], bool], seconds: float = 50.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def pids(folder: Path) -> list[int]:
    return [int(text) for file in folder.iterdir() if (text := file.read_text())]


def test_every_task_is_done_once_by_processes_that_are_used_again(tmp_path: Path) -> None:
    outcomes = list(Processes(2).map(note_process, [str(tmp_path)] * 7))
    assert sorted(o.task for o in outcomes) == list(range(7))
    assert all(o.error is None for o in outcomes)
    found = pids(tmp_path)
    assert len(found) == 7
    assert 1 <= len(set(found)) <= 2
    assert os.getpid() not in found


def test_no_tasks_need_no_process() -> None:
    assert list(Processes(2).map(fail, [])) == []


def test_errors_and_deaths_are_outcomes_of_their_task_alone() -> None:
    tasks = ["data", "bug", "kill", "exit", "fine", "kill", "fine"]
    outcomes = sorted(Processes(2).map(fail, tasks), key=lambda o: o.task)
    assert [o.error for o in outcomes] == [
        "rows.jsonl:3: no answer; write one",
        "ValueError: two lines",
        "the process was ended by SIGKILL (often: out of memory)",
        "the process ended with exit code 7",
        None,
        "the process was ended by SIGKILL (often: out of memory)",
        None,
    ]


def test_closing_it_ends_what_is_at_work(tmp_path: Path) -> None:
    outcomes = Processes(1).map(sleep, [str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        interrupt_when(lambda: len(pids(tmp_path)) == 1, lambda: next(outcomes))
    outcomes.close()  # type: ignore[attr-defined]
    assert not running(pids(tmp_path)[0])


def interrupt_when(true: Callable[[], bool], call: Callable[[], object]) -> None:
    """Ctrl-C, as it arrives in the middle of `call`."""
    import threading

    def press() -> None:
        wait_until(true, 200)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    call()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from forgetting.pipeline.sweep.engines.local import Processes\n"
        "from tests.pipeline.sweep.engines.test_local import sleep\n"
        "if __name__ == '__main__': list(Processes(2).map(sleep, [sys.argv[1]] * 2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[4])
    assert wait_until(lambda: len(pids(tmp_path)) == 2)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not any(running(pid) for pid in pids(tmp_path)))
