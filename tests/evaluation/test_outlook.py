"""What a long measure will take is said once, after its first part; a short one says nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forgetting.core.progress import Voice
from forgetting.evaluation import outlook
from forgetting.evaluation.cache import Row
from forgetting.evaluation.outlook import Continuing, Outlook


def clock(*times: float) -> Callable[[], float]:
    each = iter(times)
    return lambda: next(each)


def test_it_is_said_once_from_the_time_of_the_first_part() -> None:
    said: list[str] = []
    found = Outlook(said.append, clock(0.0, 1.0, 3.0, 6.0))
    for _ in range(3):
        found.note(1, 200, "forget: answers")  # too early at 1 s; at 3 s two of 200 are done
    assert said == ["forget: answers: about 5 min"]


@pytest.mark.parametrize(("total", "seconds"), [(10, 3.0), (1, 500.0)])
def test_what_is_short_or_already_done_is_not_said(total: int, seconds: float) -> None:
    said: list[str] = []
    Outlook(said.append, clock(0.0, seconds)).note(1, total, "forget")
    assert said == []


def test_the_time_of_continuations_is_by_the_tokens_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    heard: list[tuple[int, int]] = []
    voice = Voice(said.append, lambda done, total, note: heard.append((done, total)))
    found = Continuing([[100, 100], [100, 100]], voice, "forget", clock(0.0, 6.0, 8.0))
    rows = [Row(0, start, 0, 100) for start in (20, 80)]
    found.begun(rows)
    found.written(rows[:1])  # 80 of the 100 tokens of the first of two batches
    assert said == []  # 15 s for both
    monkeypatch.setattr(outlook, "COSTLY", 10.0)
    found.written(rows[1:])
    found.ended()
    assert said == ["forget: continuations of 4 passages, 4 prefixes: about 1 min"]
    assert heard == [(1, 4), (2, 4), (2, 4)]
