"""Halves of what is measured: a fact is in one of them, with all its forms, and what decides is not reported."""

import pytest

from forgetting.benchmarks.division import Division, on_reported, on_selection
from forgetting.benchmarks.suite import Probe, Split, Suite
from forgetting.core.declaration import Balance, Declaration, Extraction, Headline
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from forgetting.core.subset import Subset
from forgetting.metrics.score import score
from forgetting.metrics.standard import standard_metrics


def example(fact: int, form: str = "question") -> Example:
    return Example(id=f"{fact}-{form}", prompt="Who?", response="Ann", group=f"fact{fact}")


def suite(facts: int = 10, retained: int = 6) -> Suite:
    forget = tuple(example(i) for i in range(facts))
    cloze = tuple(example(i, "cloze") for i in range(facts))
    retain = tuple(example(100 + i) for i in range(retained))
    balance = Balance(forget="forget/probability", retain="retain/probability", utility="all/model_utility")
    return Suite(
        name="small",
        splits=(
            Split(name="forget", examples=forget),
            Split(name="cloze", examples=cloze),
            Split(name="retain", examples=retain),
        ),
        metrics=standard_metrics(["forget", "cloze"], ["retain"], ()),
        declares=Declaration(
            headline=Headline(forgotten=("forget/probability",)),
            balance=balance,
            alarm=("retain/probability",),
            extraction=Extraction(forget="forget", unseen="retain", n=10),
            forget_splits=("forget",),
        ),
        stages={"unlearn": Declaration(balance=balance)},
        subsets={"first": Subset(of="forget", ids=("0-question", "1-question", "2-question"))},
    )


def names(suite: Suite) -> dict[str, set[str]]:
    return {split.name: {e.id for e in split.examples} for split in suite.splits}


def test_a_fact_is_in_one_half_with_all_of_its_forms() -> None:
    whole = suite()
    division = Division.of(whole, 0.5, 0)
    found = names(division.both(whole))
    assert found["forget"] | found["selection-forget"] == {f"{i}-question" for i in range(10)}
    assert not found["forget"] & found["selection-forget"]
    assert {i.split("-")[0] for i in found["cloze"]} == {i.split("-")[0] for i in found["forget"]}
    assert division.counts(whole) == {"forget": (5, 5), "cloze": (5, 5), "retain": (3, 3)}


def test_the_halves_are_drawn_by_the_seed_and_by_nothing_else() -> None:
    reordered = suite()
    reordered = Suite(
        name="other",
        splits=tuple(Split(name=s.name, examples=s.examples[::-1]) for s in reordered.splits),
        metrics=(),
        declares=reordered.declares,
    )
    assert Division.of(suite(), 0.5, 3) == Division.of(reordered, 0.5, 3)
    assert len({Division.of(suite(), 0.5, seed).selected for seed in range(5)}) > 1


def test_the_share_is_kept_and_no_half_is_empty() -> None:
    assert Division.of(suite(), 0.3, 0).counts(suite())["forget"] == (3, 7)
    assert Division.of(suite(), 0.99, 0).counts(suite())["forget"] == (9, 1)
    assert Division.of(suite(2, 2), 0.01, 0).counts(suite(2, 2))["forget"] == (1, 1)


def test_one_fact_cannot_be_divided() -> None:
    with pytest.raises(RecipeError, match="'forget' is of 1 source fact"):
        Division.of(suite(facts=1), 0.5, 0)


def test_what_decides_is_of_the_selection_and_what_is_shown_of_the_other_half() -> None:
    both = Division.of(suite(), 0.5, 0).both(suite())
    for declared in (both.declares, both.declared("unlearn")):
        assert declared.balance == Balance(
            forget="selection-forget/probability",
            retain="selection-retain/probability",
            utility="selection-all/model_utility",
        )
    assert both.declares.alarm == ("selection-retain/probability",)
    assert both.declares.extraction == Extraction(forget="selection-forget", unseen="selection-retain", n=10)
    assert both.declares.headline.columns == (("forget/probability",),)
    assert both.declares.forget_splits == ("forget",)
    assert both.declares.balance is not None
    assert on_reported(both.declares.balance) == suite().declares.balance


def test_measures_of_a_half_are_of_its_records_alone() -> None:
    whole = suite()
    both = Division.of(whole, 0.5, 0).both(whole)
    records = [
        Record(id=e.id, split=s.name, prompt="", answer="", score=Score(-1.0 if s.name == "forget" else -2.0, 1))
        for s in both.splits
        for e in s.examples
    ]
    found = {m.key: m for m in score(both.metrics, records)}
    assert found["forget/probability"].value == pytest.approx(2.718281828**-1)
    assert found["selection-forget/probability"].value == pytest.approx(2.718281828**-2)
    assert found["forget/probability"].count == found["selection-forget/probability"].count == 5


def test_a_subset_is_divided_with_its_split() -> None:
    both = Division.of(suite(), 0.5, 0).both(suite())
    one, other = both.subsets["first"], both.subsets["selection-first"]
    assert (one.of, other.of) == ("forget", "selection-forget")
    assert {*one.ids} | {*other.ids} == {"0-question", "1-question", "2-question"}
    assert {*one.ids} <= names(both)["forget"] and {*other.ids} <= names(both)["selection-forget"]


def test_the_selection_alone_has_no_probes_and_no_other_facts() -> None:
    class Asked:
        key = "asked"

        def __call__(self, model: object, tokenizer: object, *, progress: object) -> list:
            return []

    asked: Probe = Asked()  # type: ignore[assignment]
    whole = suite()
    whole = Suite(name="p", splits=whole.splits, metrics=whole.metrics, declares=whole.declares, probes=(asked,))
    division = Division.of(whole, 0.5, 0)
    alone = division.selection_of(whole)
    assert {*names(alone)} == {"selection-forget", "selection-cloze", "selection-retain"}
    assert alone.probes == ()
    assert division.both(whole).probes == (asked,)


def test_the_key_of_a_goal_on_the_selection() -> None:
    assert on_selection("forget/exact_match", "all/balance") == "selection-forget/exact_match"
    assert on_selection("all/balance", "all/balance") == "all/balance"
