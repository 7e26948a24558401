"""Which runs a board takes from the folders that it is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.report.board.entry import entries
from tests.report.board.made import made
from tests.report.fixtures import NPO_RUN, write_run
from tests.runs.going import going


def test_a_run_counts_once_however_it_is_named(tmp_path: Path) -> None:
    one, two = made(tmp_path / "runs" / "one"), made(tmp_path / "runs" / "two", seed=1)
    kept, left_out = entries([one, tmp_path / "runs", two])
    assert ([entry.name for entry in kept], left_out) == (["one", "two"], [])


def test_what_is_left_out_has_its_reason(tmp_path: Path) -> None:
    made(tmp_path / "a")
    made(tmp_path / "b")
    made(tmp_path / "c", evaluated=True)
    going(tmp_path / "d")
    write_run(tmp_path / "e", replace(NPO_RUN, name="e", after=None, questions=0))
    kept, left_out = entries([tmp_path])
    assert [entry.name for entry in kept] == ["a"]
    assert {one.name: one.reason for one in left_out} == {
        "b": "is a again: the same settings, data and seed",
        "c": "is a model that was measured as it is, without a method",
        "d": "is not finished",
        "e": "was not measured at its end",
    }


@pytest.mark.parametrize(
    ("rule", "named"),
    [(None, "npo"), ("sum", "npo"), ("flat", "npo · flat"), ({"name": "flat", "rho": 0.1}, "npo · flat")],
)
def test_a_gradient_rule_is_part_of_the_methods_name(tmp_path: Path, rule: object, named: str) -> None:
    made(tmp_path / "a", recipe={"stages": [{"name": "unlearn", "method": "npo", "gradients": rule}]})
    ((entry,), _) = entries([tmp_path])
    assert entry.method == named


def test_settings_are_those_that_may_change_a_number(tmp_path: Path) -> None:
    made(tmp_path / "a", recipe={"redact": True, "evaluate": ["lab"], "data": {"forget": {"path": "x"}}})
    ((entry,), _) = entries([tmp_path])
    assert entry.settings == {
        "name": "unlearn",
        "method.name": "npo",
        "learning_rate": 1e-3,
        "duration": "60 steps",
    }
    assert (entry.seed, entry.method) == ("0", "npo")
