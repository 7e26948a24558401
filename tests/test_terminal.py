"""Where there is no terminal, progress is a line a minute: what, how far, how long still."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from forgetting.terminal import Lines


class Watched:
    def __init__(self) -> None:
        self.now, self.written = 1000.0, list[str]()
        self.lines = Lines(self.written.append, lambda: self.now)

    def after(self, seconds: float) -> list[str]:
        """What is written in these seconds."""
        before = len(self.written)
        for _ in range(int(seconds)):
            self.now += 1.0
            self.lines.tick()
        return self.written[before:]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_line_a_minute_says_how_far_and_how_long_still(watched: Watched) -> None:
    watched.lines.progress(0, 400, "forget 1.2")
    assert watched.after(59) == []
    watched.lines.progress(100, 400, "forget 3.4")
    assert watched.after(1) == ["100 of 400, about 3 min left: forget 3.4"]
    assert watched.after(59) == [] and len(watched.after(1)) == 1


def test_time_left_counts_from_where_the_work_was_found(watched: Watched) -> None:
    watched.lines.progress(1000, 1100, "")  # resumed
    watched.after(30)
    watched.lines.progress(1010, 1100, "")
    assert watched.after(30) == ["1,010 of 1,100, about 9 min left"]


def test_new_work_is_timed_anew(watched: Watched) -> None:
    watched.lines.progress(0, 10, "likelihoods")
    watched.after(3600)
    watched.lines.progress(0, 100, "continuations")
    watched.after(30)
    watched.lines.progress(50, 100, "continuations")
    assert watched.after(30) == ["50 of 100, about 1 min left: continuations"]
    watched.lines.progress(1, 100, "continuations")  # the next split
    assert watched.after(60) == ["1 of 100: continuations"]


def test_hours_and_unknown_totals(watched: Watched) -> None:
    watched.lines.progress(0, 1000, "")
    watched.after(59)
    watched.lines.progress(1, 1000, "")
    assert watched.after(1) == ["1 of 1,000, about 17 h left"]
    watched.lines.progress(7000, 7000, "rows read")
    assert watched.after(60) == ["7,000 done: rows read"]


def test_lines_that_are_said_put_progress_off_and_nothing_is_said_without_work(watched: Watched) -> None:
    assert watched.after(300) == []
    watched.lines.progress(1, 2, "")
    watched.lines.say("stage unlearn")
    assert watched.after(59) == [] and len(watched.after(1)) == 1


def test_a_command_in_a_pipe_says_how_far_it_is() -> None:
    code = (
        "import time\nfrom forgetting import terminal\nterminal.Lines.EVERY = 0.5\n"
        "with terminal.speaking() as voice:\n    voice.progress(3, 10, 'steps')\n    time.sleep(2.6)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert set(done.stderr.splitlines()) == {"3 of 10: steps"} and done.stdout == ""
