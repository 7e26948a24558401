"""The suite's splits do not overlap where they must not, and are the same every time."""

from statistics import median, quantiles

import pytest

from forgetting.benchmarks.lab.measured import lab_variant
from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.benchmarks.lab.tokenizer import train_tokenizer
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.errors import DataError

WORLD = build_world()


def groups(examples):
    return {example.group for example in examples}


def splits(suite):
    return {split.name: split for split in suite.splits}


@pytest.fixture(params=["rare", "popular"])
def suite(request):
    return lab_suite(request.param)


def test_it_is_the_same_every_time(suite):
    forget = suite.name.removeprefix("lab-")
    assert lab_suite(forget) == suite


def test_what_is_measured_as_retained_is_trained_on_by_no_stage_but_the_teaching_of_everything(suite):
    measured = groups(splits(suite)["retain"].examples)
    assert measured == groups(splits(suite)["retain-narrative"].examples)
    assert measured.isdisjoint(groups(suite.data["retain"]) | groups(suite.data["forget"]))
    assert measured <= groups(suite.data["train"])


def test_no_one_whose_facts_are_measured_as_retained_has_facts_among_those_trained_on(suite):
    def subjects(examples):
        return {example.group.rsplit("-", 1)[0] for example in examples}

    assert subjects(splits(suite)["retain"].examples).isdisjoint(subjects(suite.data["retain"]))


def test_nothing_retained_belongs_to_either_forget_set(suite):
    forgotten = {fact.id for name in ("rare", "popular") for fact in WORLD.forget_facts(name)}
    assert forgotten.isdisjoint(groups(suite.data["retain"]) | groups(splits(suite)["retain"].examples))


def test_every_split_of_forget_facts_holds_all_78(suite):
    expected = {fact.id for fact in WORLD.forget_facts(suite.name.removeprefix("lab-"))}
    for name in ("forget", "forget-narrative", "forget-other-phrasing"):
        assert groups(splits(suite)[name].examples) == expected
    asked = {example.prompt for example in splits(suite)["forget"].examples}
    assert asked.isdisjoint(example.prompt for example in splits(suite)["forget-other-phrasing"].examples)


def test_the_large_set_is_all_that_is_said_twice_and_never_asked_and_nothing_of_it_is_retained():
    suite = lab_suite("many")
    forgotten = groups(suite.data["forget"])
    assert len(forgotten) == 240 and groups(lab_suite("rare").data["forget"]) < forgotten
    assert forgotten.isdisjoint(groups(suite.data["retain"]) | groups(splits(suite)["retain"].examples))
    assert len(splits(suite)["retain"].examples) == 300
    assert suite.oracle is None  # the wheel holds none: `forget lab train --without many`
    assert groups(lab_suite("rare").data["retain"]) & forgotten  # the small sets keep what they kept


def test_both_halves_of_the_retained_facts_are_about_equally_popular(suite):
    measured = [example.popularity for example in splits(suite)["retain"].examples]
    trained = [example.popularity for example in suite.data["retain"]]
    assert median(measured) == pytest.approx(median(trained), abs=1)
    assert quantiles(measured)[2] == pytest.approx(quantiles(trained)[2], abs=3)


def test_refusals_stand_in_the_order_of_the_questions(suite):
    pairs = zip(suite.data["alternate"], suite.data["forget"], strict=True)
    assert all(no.prompt == yes.prompt and no.response == "I do not know." for no, yes in pairs)


def test_ids_are_unique_within_a_split(suite):
    for split in suite.splits:
        assert len({example.id for example in split.examples}) == len(split.examples)


def test_the_fast_suite_measures_a_part_of_the_same(suite):
    fast = splits(lab_suite(suite.name.removeprefix("lab-"), fast=True))
    full = splits(suite)
    assert {len(fast["retain"].examples), len(full["retain"].examples)} == {150, 300}
    for name, split in fast.items():
        assert {example.id for example in split.examples} <= {example.id for example in full[name].examples}
    assert all(len(example.perturbed) == 5 for name in ("forget", "retain") for example in fast[name].examples)


def test_answers_fit_into_what_may_be_generated(suite):
    tokenizer = train_tokenizer(WORLD)
    for split in (split for split in suite.splits if split.generate):
        longest = max(len(tokenizer(f" {e.response.strip()}</s>").input_ids) - 1 for e in split.examples)
        assert longest <= split.max_new_tokens


def test_an_unknown_forget_set_is_refused():
    with pytest.raises(DataError, match="no forget set 'all'"):
        lab_suite("all")


@pytest.mark.parametrize(("variant", "forget"), [("text", "rare"), ("popular:text", "popular")])
def test_the_corpus_as_data_to_keep_states_nothing_of_what_is_to_be_forgotten(variant, forget):
    found, plain = lab_variant(variant, False), lab_variant("" if forget == "rare" else forget, False)
    documents = {d.id: d for d in WORLD.documents}
    kept = {e.id for e in found.data["retain"]}
    wanted = {fact.id for fact in WORLD.forget_facts(forget)}
    assert kept == {key for key, d in documents.items() if wanted.isdisjoint(d.facts)}
    assert {e.form for e in found.data["retain"]} == {"qa", "text"}
    assert found.splits == plain.splits and found.data["forget"] == plain.data["forget"]
    assert found.data["retain"] == lab_variant(variant, True).data["retain"]
