"""What never ends is ended, and the limit leaves no trace."""

import contextlib
import re
import signal
import threading
import time

import pytest

from forgetting.core.limits import endless_pattern, within


@pytest.mark.parametrize(
    "endless",
    [lambda: re.fullmatch("(a+)+b", "a" * 40), lambda: 9**9**9, lambda: [None for _ in iter(int, 1)]],
    ids=["pattern", "power", "loop"],
)
def test_what_does_not_end_is_ended(endless) -> None:
    began = time.process_time()
    with pytest.raises(TimeoutError, match=r"takes longer than 0\.2 s"), within(0.2):
        endless()
    assert time.process_time() - began < 5
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def busy(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def swallows() -> None:
    with contextlib.suppress(Exception):
        busy(5)


def test_what_waits_for_the_machine_is_left_alone() -> None:
    began = time.monotonic()
    with within(0.1):
        time.sleep(0.5)
    assert time.monotonic() - began >= 0.5
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


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
        busy(2)


ENDLESS = "(x+x+)+y"
"""It never ends in `re`, and ends at once in `regex`."""


@pytest.mark.parametrize(
    ("patterns", "late"), [([], None), (["x+", ".*"], None), (["x+", ENDLESS], 1), ([ENDLESS, "x+"], 0)]
)
def test_the_first_endless_pattern_is_found_in_any_thread(patterns: list[str], late: int | None) -> None:
    found: list[int | None] = []
    thread = threading.Thread(target=lambda: found.append(endless_pattern(patterns, ["x" * 50, "y"], 2)))
    thread.start()
    thread.join(30)
    assert found == [late]


def test_as_many_texts_as_a_large_model_has_modules_are_handed_over() -> None:
    texts = [f"model.layers.{layer}.mlp.experts.{expert}.down_proj" for layer in range(60) for expert in range(100)]
    assert endless_pattern([r".*\.q_proj", ENDLESS], [*texts, "x" * 50], 3) == 1
