"""What never ends is ended, and the limit leaves no trace."""

import contextlib
import re
import signal
import time

import pytest

from forgetting.core.limits import within


@pytest.mark.parametrize(
    "endless",
    [lambda: re.fullmatch("(a+)+b", "a" * 40), lambda: 9**9**9, lambda: [None for _ in iter(int, 1)]],
    ids=["pattern", "power", "loop"],
)
def test_what_does_not_end_is_ended(endless) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"takes longer than 0\.2 s"), within(0.2):
        endless()
    assert time.monotonic() - began < 5
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def swallows() -> None:
    with contextlib.suppress(Exception):
        time.sleep(5)


def test_what_catches_the_end_of_its_time_is_ended_too() -> None:
    with pytest.raises(TimeoutError), within(0.1):
        swallows()
    with pytest.raises(TimeoutError), within(0.1):
        swallows()
        re.fullmatch("(a+)+b", "a" * 40)


def test_an_outer_limit_goes_on() -> None:
    with pytest.raises(TimeoutError, match=r"longer than 0\.3 s"), within(0.3):
        with within(60):
            pass
        time.sleep(2)
