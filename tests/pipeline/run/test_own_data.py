"""A run's own held-out data: what a stage learns is held against it, and unseen text is nothing that should stay."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from forgetting.benchmarks.suite import Suite, labelled
from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.core.subset import Subset
from forgetting.metrics.score import score
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.suites import suite_of
from forgetting.recipe import Recipe, recipe_from


def examples(name: str, count: int, documents: bool = False) -> list[Example]:
    form, prompt = ("text", "") if documents else ("qa", "who?")
    return [Example(id=f"{name}{i}", form=form, prompt=prompt, response=f"{name} {i}") for i in range(count)]  # type: ignore[arg-type]


def recipe(**methods: str) -> Recipe:
    return recipe_from({"model": "m", "stages": [{"name": name, "method": method} for name, method in methods.items()]})


def data(**roles: list[Example]) -> StageData:
    return StageData(roles, dict.fromkeys(roles, "test"))


def measured(suite: Suite, level: dict[str, float]) -> dict[str, tuple[float | None, str]]:
    """Value and direction by key, where every answer of a split has one probability."""
    records = [
        Record(
            id=e.id, split=s.name, prompt="", answer="a b", generation="a b", score=Score(math.log(level[s.name]), 1)
        )
        for s in suite.splits
        for e in s.examples
    ]
    return {m.key: (m.value, m.direction) for m in score(suite.metrics, records)}


@pytest.mark.parametrize("documents", [False, True])
def test_where_no_stage_learns_held_out_data_are_unseen_text(documents: bool) -> None:
    roles = {role: examples(role, 3, documents) for role in ("forget", "retain", "holdout")}
    suite = suite_of(recipe(a="ga", b="npo"), {"a": data(**roles), "b": data(**roles)})
    declared = suite.declares
    assert declared.unseen_splits == ("holdout",) and declared.retain_splits == ("retain",)
    assert declared.headline.unseen == (("holdout/probability",), ("holdout/exact_match",))
    assert (declared.headline.learned, declared.headline.others) == ((), ())
    assert declared.headline.columns.index(("holdout/probability",)) < declared.headline.columns.index(
        declared.headline.kept
    )
    found = measured(suite, {"forget": 0.9, "retain": 0.705, "holdout": 0.008})
    assert found["holdout/probability"] == (pytest.approx(0.008), "none")
    if not documents:
        # of 0.705 and a recall of 1 on what is retained; unseen text would pull it down to 0.032
        assert found["all/model_utility"] == (pytest.approx(2 / (1 / 0.705 + 1)), "up")


def test_held_out_data_of_what_a_stage_learns_count_as_before() -> None:
    roles = {role: examples(role, 3) for role in ("forget", "retain", "holdout", "train")}
    suite = suite_of(recipe(unlearn="ga", learn="sft"), {"unlearn": data(**roles), "learn": data(**roles)})
    assert suite.declares.unseen_splits == () and suite.declares.headline.unseen == ()
    assert suite.declares.headline.learned[0] == "holdout/probability"
    found = measured(suite, {"forget": 0.9, "retain": 0.5, "holdout": 0.25})
    assert found["holdout/probability"] == (pytest.approx(0.25), "up")
    assert found["all/model_utility"][0] == pytest.approx(4 / (1 / 0.5 + 1 / 0.25 + 2))


def test_each_stages_held_out_data_are_what_that_stage_makes_them() -> None:
    learning = {"train": examples("t", 3), "holdout": examples("h", 2)}
    forgetting = {"forget": examples("f", 3), "retain": examples("r", 3), "holdout": examples("u", 4)}
    suite = suite_of(recipe(learn="sft", unlearn="ga"), {"learn": data(**learning), "unlearn": data(**forgetting)})
    assert {s.name: [e.id[0] for e in s.examples] for s in suite.splits}["holdout"] == ["h", "h"]
    assert {s.name: [e.id[0] for e in s.examples] for s in suite.splits}["unseen"] == ["u"] * 4
    assert suite.declares.unseen_splits == ("unseen",) and "unseen/probability" in measured(
        suite, {"forget": 0.9, "retain": 0.5, "holdout": 0.25, "unseen": 0.01}
    )


def test_where_nothing_is_forgotten_held_out_data_are_none_of_unseen_text() -> None:
    suite = suite_of(recipe(learn="sft"), {"learn": data(train=examples("t", 3), holdout=examples("h", 2))})
    assert suite.declares.unseen_splits == () and suite.declares.headline.learned[0] == "holdout/probability"


def test_which_examples_are_a_stages_own_is_known_under_any_label() -> None:
    first, second = examples("a", 2), examples("b", 3)
    suite = suite_of(recipe(one="ga", two="ga"), {"one": data(forget=first), "two": data(forget=second)})
    assert suite.subsets == {
        "one-forget": Subset(of="forget", ids=("a0", "a1")),
        "two-forget": Subset(of="forget", ids=("b0", "b1", "b2")),
    }
    assert labelled(suite, "x").subsets["x-one-forget"] == Subset(of="x-forget", ids=("a0", "a1"))


def test_only_measured_examples_are_of_a_stages_set() -> None:
    first, second = examples("a", 300), examples("b", 400)
    suite = suite_of(recipe(one="ga", two="ga"), {"one": data(forget=first), "two": data(forget=second)})
    (forget,) = suite.splits
    assert len(forget.examples) == 500
    assert {i for s in suite.subsets.values() for i in s.ids} == {e.id for e in forget.examples}


def test_stages_with_different_examples_under_one_id_are_refused() -> None:
    first, second = examples("forget", 3), [replace(e, response="other") for e in examples("forget", 2)]
    suite = suite_of(recipe(a="ga", b="ga"), {"a": data(forget=first), "b": data(forget=first[1:])})
    assert [e.id for split in suite.splits for e in split.examples] == ["forget0", "forget1", "forget2"]
    with pytest.raises(DataError, match="has the id 'forget0' of another one, which says something else"):
        suite_of(recipe(a="ga", b="ga"), {"a": data(forget=first), "b": data(forget=second)})
    noisy = [replace(e, fields={"noise": [[0, 1]]}) for e in second]
    assert suite_of(recipe(a="ga", b="ga"), {"a": data(forget=first), "b": data(forget=noisy)}).subsets
