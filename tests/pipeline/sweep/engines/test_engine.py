"""What every engine shares: an error of a task in one line, a signal that is none."""

import pytest

from forgetting.core.errors import DataError
from forgetting.core.interruption import Interrupted
from forgetting.pipeline.sweep.engines.engine import attempt, cores, threads_of_each


def fail(error: BaseException) -> None:
    raise error


def test_an_error_is_one_line_and_success_is_none() -> None:
    assert attempt(len, []) is None
    assert attempt(fail, DataError("rows.jsonl:3: no answer;\nwrite one")) == "rows.jsonl:3: no answer; write one"
    assert attempt(fail, KeyError("two\nlines")) == "KeyError: 'two\\nlines'"
    assert attempt(fail, OSError("disk\nfull")) == "disk full"


@pytest.mark.parametrize("raised", [Interrupted(15), KeyboardInterrupt(), SystemExit(3)])
def test_what_is_no_error_of_the_task_goes_on_upwards(raised: BaseException) -> None:
    with pytest.raises(type(raised)):
        attempt(fail, raised)


def test_there_is_a_core() -> None:
    assert cores() >= 1


@pytest.mark.parametrize(
    ("cpus", "at_once", "asked", "each"),
    [(8, 2, "", 4), (8, 2, "1", 1), (8, 2, "6", 4), (2, 3, "", 1), (8, 1, "0", 8), (8, 1, "4,2", 8)],
)
def test_tasks_share_the_cores_and_take_no_more_threads_than_are_asked_for(
    cpus: int, at_once: int, asked: str, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetting.pipeline.sweep.engines.engine.cores", lambda: cpus)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_of_each(at_once) == each
