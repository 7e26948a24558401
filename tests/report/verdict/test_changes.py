"""What changed, as numbers: paired, with an interval, or with the reason for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.subset import Subset
from forgetting.report.verdict.changes import changes
from tests.report.verdict.test_paired import LESS, WIDE, _two_requests


def test_each_requests_change_is_told_with_its_interval(tmp_path: Path) -> None:
    run = _two_requests(tmp_path / "told", told=True)
    assert run.subsets["one-forget"] == Subset(of="forget", ids=tuple(f"q{i}" for i in range(39)))
    found = changes(run, ["one-forget/probability", "all/model_utility", "gone/probability"])
    change = found["one-forget/probability"]["from_before"]
    assert change["value"] == pytest.approx(sum(LESS[:39]) / 39 - sum(WIDE[:39]) / 39)
    assert (change["count"], change["low"] < change["value"] < change["high"] < 0) == (39, True)
    assert found["one-forget/probability"]["from_oracle"]["count"] == 39
    assert found["all/model_utility"]["from_before"] == {"value": None, "reason": "not a mean over examples"}
    assert "gone/probability" not in found


def test_a_set_of_unknown_examples_says_so(tmp_path: Path) -> None:
    run = _two_requests(tmp_path / "untold", told=False)
    (of,) = changes(run, ["one-forget/probability"]).values()
    assert of["from_before"] == {
        "value": None,
        "reason": "the run does not say which of its records are of this set",
    }
