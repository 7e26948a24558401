"""What several processes of one run agree on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forgetting.core import processes
from forgetting.core.errors import ElsewhereError, RunError
from tests.training.several import Several


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    several = Several(tmp_path_factory.mktemp("meeting") / "store")
    yield several
    several.end()


def shared_out() -> tuple[list[int], dict[int, int], int]:
    return [*processes.own_share(range(5))], processes.united({processes.rank(): 7}), processes.count()


def test_items_are_shared_out_once_each_and_united(two: Several) -> None:
    assert two.run(shared_out) == [([0, 2, 4], {0: 7, 1: 7}, 2), ([1, 3], {0: 7, 1: 7}, 2)]
    assert shared_out() == ([0, 1, 2, 3, 4], {0: 7}, 1)


def told(file: Path) -> list[Any]:
    """What each process finds: of work by the first, of work that the others find done, of work that fails."""
    own = processes.on_first(lambda: (processes.rank(), processes.count()))

    def work() -> str:
        if not file.is_file():
            file.write_text(f"made by {processes.rank()} of {processes.count()}, {processes.is_first()}")
        return file.read_text()

    found = processes.first_then_others(work)

    def fail() -> None:
        raise RunError("no room")

    try:
        processes.on_first(fail)
    except (RunError, ElsewhereError) as error:
        return [own, found, type(error).__name__]
    return []


def test_the_first_works_alone_and_its_failure_is_every_one_s(two: Several, tmp_path: Path) -> None:
    first, second = two.run(told, tmp_path / "file")
    assert first[:2] == second[:2] == [(0, 1), "made by 0 of 1, True"]
    assert (first[2], second[2]) == ("RunError", "ElsewhereError")
