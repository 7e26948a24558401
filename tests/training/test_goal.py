"""A stage ends at the first evaluation whose measures reach its goal, also when it was killed right there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from forgetting.core.measure import Measure
from forgetting.training.stage import Hooks
from tests.training.making import history, same, trainer, weights_of


def evaluator(asked: list[int]):
    def evaluate(model: object, *, step: int, epoch: float) -> list[Measure]:
        asked.append(step)
        return [Measure(name="left", split="forget", value=1.0 - step / 10, count=1)]

    return evaluate


def below(limit: float):
    def reached(measures: Sequence[Measure]) -> bool:
        [measure] = measures
        assert measure.value is not None
        return measure.value <= limit

    return reached


def test_it_ends_at_the_first_evaluation_that_reaches_the_goal(tmp_path: Path) -> None:
    asked: list[int] = []
    hooks = Hooks(evaluate=evaluator(asked), reached=below(0.5))
    result = trainer(tmp_path, duration="9 epochs", evaluate_every="2 steps", hooks=hooks).run()
    assert asked == [2, 4, 6]  # 0.5 is passed at step 5, and seen at 6
    assert (result.stopped, result.success, result.steps, result.kept_step) == ("goal", True, 6, 6)
    assert result.epochs == 3.0 and result.total == 18 and len(history(tmp_path)) == 6


def test_a_goal_that_is_not_reached_is_a_failure_of_the_whole_duration(tmp_path: Path) -> None:
    hooks = Hooks(evaluate=evaluator([]), reached=below(-1.0))
    result = trainer(tmp_path, duration="3 epochs", evaluate_every="1 epoch", hooks=hooks).run()
    assert (result.stopped, result.success, result.epochs) == ("duration", False, 3.0)


def test_without_a_rule_there_is_neither_success_nor_failure(tmp_path: Path) -> None:
    assert trainer(tmp_path, duration="2 steps").run().success is None


def test_a_kill_after_the_evaluation_that_reached_it_changes_nothing(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(measures: Sequence[Measure]) -> bool:
        if below(0.5)(measures):
            raise Killed
        return False

    def job(folder: Path, reached):
        hooks = Hooks(evaluate=evaluator([]), reached=reached)
        return trainer(folder, duration="9 epochs", evaluate_every="2 steps", hooks=hooks)

    whole = job(tmp_path / "whole", below(0.5))
    expected = whole.run()
    with pytest.raises(Killed):
        job(tmp_path / "cut", killed).run()
    again = job(tmp_path / "cut", below(0.5))
    result = again.run()
    assert (result.steps, result.stopped, result.success) == (expected.steps, "goal", True)
    assert same(weights_of(again.model), weights_of(whole.model))
