"""What a recipe measures: suites by label, its own questions or passages, each stage's own forget set."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from forgetting.benchmarks.registry import shipped_models
from forgetting.benchmarks.suite import Suite
from forgetting.core.declaration import Balance
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean
from forgetting.metrics.score import score
from forgetting.metrics.standard import standard_declaration
from forgetting.metrics.text import exact_match
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.suites import (
    _named_measures,
    check_passages,
    check_stop_splits,
    fast_suite_of,
    stop_splits,
    suite_of,
)
from forgetting.recipe import Recipe, recipe_from


def passages(name: str, count: int) -> list[Example]:
    return [Example(id=f"{name}{i}", form="text", response=f"{name} number {i} of them all") for i in range(count)]


def recipe(*stages: str, **more: object) -> Recipe:
    return recipe_from({"model": "m", "stages": [{"name": s, "method": "ga"} for s in stages or ["unlearn"]]} | more)


def data(**roles: list[Example]) -> StageData:
    return StageData(roles, dict.fromkeys(roles, "test"))


def names(suite) -> list[str]:
    return [split.name for split in suite.splits]


def keys(suite) -> set[str]:
    return {m.key for m in score(suite.metrics, [])}


def test_own_passages_are_measured_against_as_many_unseen_ones_and_no_fewer_than_32() -> None:
    own = {"unlearn": data(forget=passages("f", 4), holdout=passages("u", 40), retain=passages("r", 3))}
    suite = suite_of(recipe(evaluate="extraction"), own)
    assert {split.name: (len(split.examples), split.extraction) for split in suite.splits} == {
        "forget": (4, (10,)),
        "unseen": (32, (10,)),
        "retain": (3, None),
    }
    assert stop_splits(recipe().stages[0], suite) == ("forget", "unseen", 10)


def test_a_stage_that_stops_at_unseen_text_measures_all_of_it_on_every_model() -> None:
    stages = [{"name": "unlearn", "method": "ga", "until": "extraction"}]
    for evaluate, own in (
        ("extraction", {"unlearn": data(forget=passages("f", 4), holdout=passages("u", 9))}),
        ("tdec:lab", {}),
    ):
        found = recipe_from({"model": "m", "stages": stages, "evaluate": evaluate})
        whole, during = suite_of(found, own), fast_suite_of(found, own, found.stages[0])
        unseen = {s.name: s.examples for s in whole.splits}["unseen"]
        assert unseen and {s.name: s.examples for s in during.splits}["unseen"] == unseen
        assert "unseen/memorization_accuracy" in keys(during)
        without = recipe_from({"model": "m", "stages": [{"name": "unlearn", "method": "ga"}], "evaluate": evaluate})
        assert "unseen" not in names(fast_suite_of(without, own, without.stages[0]))


def test_unseen_text_stands_in_the_main_table_beside_the_forget_set() -> None:
    own = {"unlearn": data(forget=passages("f", 4), holdout=passages("u", 9), retain=passages("r", 3))}
    columns = [column[0] for column in suite_of(recipe(evaluate="extraction"), own).declares.headline.columns]
    for name in ("el_10", "memorization_accuracy"):
        assert {f"forget/{name}", f"unseen/{name}"} <= set(columns)


def test_a_stop_rule_without_unseen_text_is_refused() -> None:
    suite = suite_of(recipe(evaluate="extraction"), {"unlearn": data(forget=passages("f", 4))})
    with pytest.raises(RecipeError, match=r"until: extraction .* data\.holdout=FILE"):
        stop_splits(recipe().stages[0], suite)


def test_passages_need_something_to_forget() -> None:
    with pytest.raises(RecipeError, match=r"write data\.forget="):
        suite_of(recipe(evaluate="extraction"), {"unlearn": data(train=passages("t", 2))})


def test_plain_fine_tuning_has_probability_and_exact_match_in_the_table() -> None:
    suite = suite_of(recipe(), {"unlearn": data(train=passages("t", 2))})
    columns = [column[0] for column in suite.declares.headline.columns]
    assert columns == ["all/model_utility", "train/probability", "train/exact_match"]


def test_each_stages_own_set_is_measured_under_its_name() -> None:
    two = recipe("one", "two", evaluate="extraction")
    first, second = passages("a", 2), passages("b", 3)
    unseen = passages("u", 9)
    suite = suite_of(two, {"one": data(forget=first, holdout=unseen), "two": data(forget=second, holdout=unseen)})
    assert names(suite) == ["forget", "unseen"]  # nothing is measured twice

    def record(example: Example, logp: float) -> Record:
        return Record(id=example.id, split="forget", prompt="", answer="", score=Score(logp, 1, (0,)))

    records = [*(record(e, -1.0) for e in first), *(record(e, -2.0) for e in second)]
    found = {m.key: m for m in score(suite.metrics, records)}
    assert found["one-forget/probability"].value == pytest.approx(0.3679, abs=1e-4)
    assert found["two-forget/probability"].value == pytest.approx(0.1353, abs=1e-4)
    assert (found["one-forget/probability"].count, found["forget/probability"].count) == (2, 5)
    assert stop_splits(two.stages[1], suite) == ("two-forget", "unseen", 10)


def test_a_suite_labelled_by_a_stage_is_measured_during_that_stage_only() -> None:
    two = recipe("one", "two", evaluate={"one": "tdec:lab", "two": "tdec:lab", "text": "lab"})
    whole = suite_of(two, {})
    assert {"one-forget", "two-forget", "two-unseen", "text-retain"} <= set(names(whole))
    during = fast_suite_of(two, {}, two.stages[0])
    assert "one-forget" in names(during) and "text-retain" in names(during)
    assert not any(name.startswith("two-") for name in names(during))
    assert stop_splits(two.stages[1], whole) == ("two-forget", "two-unseen", 10)


def test_a_stages_own_unseen_text_is_scored_during_it() -> None:
    stages = [{"name": name, "method": "ga", "until": "extraction"} for name in ("one", "two")]
    two = recipe_from({"model": "m", "stages": stages, "evaluate": {"one": "tdec:lab", "two": "tdec:lab"}})
    during = fast_suite_of(two, {}, two.stages[0])
    assert {"one-forget", "one-unseen"} <= set(names(during)) and "two-unseen" not in names(during)
    records = [
        Record(id=e.id, split=split.name, prompt="", answer="", score=Score(-1.0, 1, (0,)))
        for split in during.splits
        for e in split.examples
    ]
    found = {m.key: m for m in score(during.metrics, records)}
    assert found["one-unseen/probability"].value == pytest.approx(0.3679, abs=1e-4)


def test_a_balance_rests_on_the_stages_own_splits_where_there_are_such() -> None:
    two = recipe("one", "two", evaluate={"one": "tdec:lab", "text": "lab"})
    suite = suite_of(two, {})
    assert suite.declared("one").balance == Balance(
        forget="one-forget/probability", retain="one-retain/probability", utility="text-utility/exact_match"
    )
    assert suite.declared("two").balance == Balance(
        forget="text-forget/probability", retain="text-retain/probability", utility="text-utility/exact_match"
    )


@pytest.mark.parametrize("role", ["forget", "retain"])
def test_unseen_text_that_is_known_is_refused(role: str) -> None:
    own = {"forget": passages("f", 4), "retain": passages("r", 3)}
    never = [*passages("u", 3), own[role][1]]
    with pytest.raises(DataError, match=f"{role}|must be text that the model has never seen"):
        suite_of(recipe(evaluate="extraction"), {"unlearn": data(**own, holdout=never)})


@pytest.mark.parametrize(
    ("evaluate", "said"), [({"text": None}, "names no suite"), ({"a b": "lab"}, "the label 'a b'")]
)
def test_labels_that_are_none_are_told_plainly(evaluate: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe_from({"model": "m", "stages": [{"method": "ga"}], "evaluate": evaluate})


def test_a_label_changes_names_and_nothing_else() -> None:
    plain, first = suite_of(recipe(evaluate=["lab"]), {}), suite_of(recipe(evaluate={"first": "lab"}), {})
    assert first.declares == plain.declares.labelled("first-")
    assert first.declared("unlearn") == plain.declared("unlearn").labelled("first-")
    own = suite_of(recipe(evaluate={"unlearn": "lab"}), {})
    assert own.declares == plain.declares.labelled("unlearn-") == own.declared("unlearn")


def test_a_stop_rule_finds_its_splits_under_any_label() -> None:
    suite = suite_of(recipe(evaluate={"first": "tdec:lab"}), {})
    assert stop_splits(recipe().stages[0], suite) == ("first-forget", "first-unseen", 10)


@pytest.mark.parametrize(
    "roles",
    [
        {"forget": 4},
        {"forget": 4, "retain": 3},
        {"forget": 4, "retain": 3, "holdout": 2},
        {"train": 5},
        {"train": 5, "holdout": 2},
        {"retain": 3, "holdout": 2},
    ],
    ids=" ".join,
)
def test_own_data_declare_only_what_they_measure(roles: dict[str, int]) -> None:
    own = {
        role: [Example(id=f"{role}{i}", prompt="q", response=f"a {i}") for i in range(n)] for role, n in roles.items()
    }
    suite = suite_of(recipe(), {"unlearn": data(**own)})
    head, balance = suite.declares.headline, suite.declares.balance
    parts = set() if balance is None else {balance.forget, balance.retain, balance.utility} - {""}
    found = {key for column in head.columns for key in column} | parts | {*suite.declares.alarm}
    assert found and found <= keys(suite)
    assert (balance is not None) == ("forget" in roles)


def test_metrics_that_a_recipe_asks_for_are_measured_beside_those_of_its_suites() -> None:
    asked = [{"name": "rouge_l_f1", "splits": ["secrets"], "direction": "down"}, "probability", "exact_memorization"]
    whole = suite_of(recipe(evaluate="lab", metrics=asked), {})
    during = fast_suite_of(recipe(evaluate="lab", metrics=asked), {}, recipe().stages[0])
    assert {"secrets/rouge_l_f1", "story/probability", "forget/exact_memorization"} <= keys(whole)
    assert "forget/exact_memorization" in keys(during) and "secrets/rouge_l_f1" not in keys(during)
    assert {m.direction for m in score(whole.metrics, []) if m.key == "secrets/rouge_l_f1"} == {"down"}
    assert "secrets/rouge_l_f1" in whole.declares.asked and "forget/exact_memorization" in whole.declares.asked
    assert "story/exact_memorization" not in whole.declares.asked  # no column of the headline is of that split


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("probabillity", "unknown metric 'probabillity'; did you mean 'probability'"),
        ({"name": "extraction_likelihood", "n": 0}, "n is 0: input should be greater than 0"),
        ({"name": "perplexity", "m": 1}, "metric 'perplexity' has no parameter 'm'"),
        (
            {"name": "probability", "splits": ["forget"], "direction": "up"},
            "forget/probability is measured already, with",
        ),
        ({"name": "perplexity", "splits": ["forgot"]}, "metrics: 'perplexity': no split is called 'forgot'"),
    ],
)
def test_a_metric_that_cannot_be_asked_for_is_named(metric: object, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        suite_of(recipe(evaluate="lab", metrics=[metric]), {})


def test_a_suite_that_declares_no_columns_has_all_of_its_measures_in_the_table() -> None:
    own = Suite(
        name="own", splits=(), metrics=(mean(exact_match, ("asked",), "up"), mean(probability, ("told",), "up"))
    )
    assert _named_measures(own).declares.asked == ("asked/exact_match", "told/probability")
    declared = replace(own, declares=standard_declaration())
    assert _named_measures(declared) is declared


def test_a_stage_without_a_suite_of_its_own_cannot_end_by_that_of_another_stage() -> None:
    stages = [{"name": name, "method": "ga", "until": "extraction"} for name in ("one", "two")]
    own = {name: data(forget=passages(name, 2), holdout=passages("u", 9)) for name in ("one", "two")}
    two = recipe_from({"model": "m", "stages": stages, "evaluate": {"one": "extraction"}})
    whole = suite_of(two, own)
    check_stop_splits(two.stages[0], whole, fast_suite_of(two, own, two.stages[0]))
    with pytest.raises(RecipeError, match=r"stage 'two': until: extraction .* under its name or none"):
        check_stop_splits(two.stages[1], whole, fast_suite_of(two, own, two.stages[1]))


def test_a_stage_with_a_suite_of_the_runs_data_is_judged_by_its_own_set() -> None:
    stages = [{"name": name, "method": "ga", "until": "extraction"} for name in ("one", "two")]
    own = {name: data(forget=passages(name, 2), holdout=passages("u", 9)) for name in ("one", "two")}
    two = recipe_from({"model": "m", "stages": stages, "evaluate": {"one": "extraction", "two": "extraction"}})
    whole = suite_of(two, own)
    for stage in two.stages:
        mine = f"{stage.name}-{stage.name}-forget"
        assert stop_splits(stage, whole) == (mine, f"{stage.name}-unseen", 10)
        assert len(whole.subsets[mine].ids) == 2
        check_stop_splits(stage, whole, fast_suite_of(two, own, stage))


def test_a_passage_longer_than_the_models_positions_is_named() -> None:
    tokenizer = AutoTokenizer.from_pretrained(shipped_models()["lab"])
    long = Example(id="a", form="text", response="word " * 80, where="passages.csv:3")
    suite = suite_of(recipe(evaluate="extraction"), {"unlearn": data(forget=[*passages("f", 3), long])})
    check_passages(suite, tokenizer, 1000)
    check_passages(suite, tokenizer)
    with pytest.raises(
        DataError, match=r"passages\.csv:3: has \d+ tokens, and the model has 64 positions; .*max_tokens: 64"
    ):
        check_passages(suite, tokenizer, 64)
