"""On the lab's model: ours and plain take the same steps and give the same answers; what is not there is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import real, real_arms
from bench.real_arms import Load, measure_evaluation, measure_step
from bench.report import Plan
from bench.step_arms import METHODS

LOAD = Load("lab", rows=5, questions=7, new_tokens=5, threads=1, warm_up=0, steps=1)


@pytest.mark.parametrize("method", list(METHODS))
def test_ours_and_plain_begin_with_the_same_loss(method: str) -> None:
    ours, plain = (measure_step(arm, method, LOAD).losses for arm in ("ours", "plain"))
    assert ours == pytest.approx(plain, rel=1e-4, abs=1e-5)


def test_ours_and_plain_write_the_same_answers() -> None:
    ours, plain = (measure_evaluation(arm, LOAD).texts for arm in ("ours", "plain"))
    assert ours == plain and len(ours) == 7 and any(ours)


def test_the_floor_takes_a_step() -> None:
    assert measure_step("floor", "graddiff", LOAD).losses[0] > 0


def test_a_quick_run_has_every_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "in_fresh_process", lambda preload, work, *args: work(*args))
    report = real.run(Plan(quick=True, rounds=1, threads=1, say=lambda line: None))
    rows = {row["what"]: row for row in report.data["summary"]}
    assert list(rows) == [*METHODS, "evaluation"] and rows["evaluation"]["same_texts"] == 1.0
    assert set(rows["npo"]["ratio"]) == {"ours / floor", "plain / ours"}
    assert set(rows["evaluation"]["ratio"]) == {"plain / ours"}


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = Plan(quick=False, rounds=1, threads=1, say=lambda line: None)
    monkeypatch.delenv(real_arms.FOLDER, raising=False)
    with pytest.raises(SystemExit, match=r"^real: set FORGETTING_MODELS to a folder that holds gemma-3-270m and smol"):
        real.run(plan)
    monkeypatch.setenv(real_arms.FOLDER, str(tmp_path))
    monkeypatch.setattr(real, "DATA", tmp_path)
    with pytest.raises(SystemExit, match="holds neither gemma-3-270m nor smollm2-135m"):
        real.run(plan)
