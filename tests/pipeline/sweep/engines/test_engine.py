"""What every engine shares: an error of a task in one line, a signal that is none."""

import pytest

from forgetting.core.errors import DataError
from forgetting.core.interruption import Interrupted
from forgetting.pipeline.sweep.engines.engine import attempt, cores


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
