"""Several suites measured as one, told apart by labels."""

from dataclasses import replace

import pytest

from forgetting.benchmarks.suite import Split, Suite, joined, labelled
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.record import Record, Score
from forgetting.metrics.likelihood import probability
from forgetting.metrics.metric import Splits
from forgetting.metrics.per_example import mean, toward_oracle
from forgetting.metrics.score import score


def suite(name: str = "one", split: str = "forget") -> Suite:
    example = Example(id="a", form="qa", prompt="q", response="r")
    metrics = (toward_oracle(mean(probability, (split,), "down")),)
    return Suite(name=name, splits=(Split(name=split, examples=(example,)),), metrics=metrics)


def record(split: str, logp: float) -> Record:
    return Record(id="a", split=split, prompt="q", answer="r", score=Score(logp, 1))


def test_a_label_stands_before_splits_and_measures() -> None:
    task = labelled(suite(), "task1")
    assert [split.name for split in task.splits] == ["task1-forget"]
    [measure] = score(task.metrics, [record("task1-forget", -1.0)], [record("task1-forget", -2.0)])
    [plain] = score(suite().metrics, [record("forget", -1.0)], [record("forget", -2.0)])
    assert measure.key == "task1-forget/probability"
    assert (measure.value, measure.direction) == (plain.value, "oracle")


def test_labels_that_begin_alike_are_not_mixed_up() -> None:
    both = joined([labelled(suite(), "task"), labelled(suite(), "task-1")])
    records = [record("task-forget", -1.0), record("task-1-forget", -3.0)]
    values = {m.key: m.value for m in score(both.metrics, records)}
    assert values["task-forget/probability"] == pytest.approx(0.3679, abs=1e-4)
    assert values["task-1-forget/probability"] == pytest.approx(0.0498, abs=1e-4)


def test_joined_suites_measure_what_each_measures() -> None:
    both = joined([suite("one", "forget"), suite("two", "retain")])
    found = score(both.metrics, [record("forget", -1.0), record("retain", -2.0)])
    assert both.name == "one + two"
    assert [m.key for m in found] == ["forget/probability", "retain/probability"]


def test_a_metric_of_every_split_sees_those_of_its_own_suite_alone() -> None:
    def counted(records: Splits, oracle: Splits | None) -> list[Measure]:
        return [Measure(name="records", split=name, value=len(found), count=1) for name, found in records.items()]

    every = replace(suite(), metrics=(counted,))
    both = joined([labelled(every, "task"), labelled(every, "task-1")])
    records = [record("task-forget", -1.0), record("task-1-forget", -3.0)]
    assert [m.key for m in score(both.metrics, records)] == ["task-forget/records", "task-1-forget/records"]


def test_two_splits_of_one_name_need_labels() -> None:
    with pytest.raises(RecipeError, match="both one and two have a split 'forget'; give them labels"):
        joined([suite("one"), suite("two")])


def test_a_label_stands_before_what_a_probe_measures() -> None:
    class Probe:
        key = "task,limit=3"

        def __call__(self, model: object, tokenizer: object, *, progress: object) -> list[Measure]:
            return [Measure(name="acc", split="task", value=0.5, count=3)]

    [probe] = labelled(Suite(name="h", splits=(), metrics=(), probes=(Probe(),)), "after").probes
    assert [m.key for m in probe(None, None, progress=None)] == ["after-task/acc"]  # type: ignore[arg-type]
    assert probe.key == "after-task,limit=3"
