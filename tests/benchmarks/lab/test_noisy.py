"""Noisy fine-tuning: what is trained on is noisy as stated, what is measured is clean and was not trained on."""

import pytest

from forgetting.benchmarks.lab.noisy import MEASURED, noisy_variant
from forgetting.benchmarks.lab.suite import BASE
from forgetting.benchmarks.lab.tokenizer import train_tokenizer
from forgetting.benchmarks.lab.world import build_world
from forgetting.benchmarks.registry import get_suite
from forgetting.core.errors import RecipeError
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.data.noise import KINDS, noise_counts, noise_labels, noise_spans

WORLD = build_world()


@pytest.fixture(scope="module")
def suite():
    return noisy_variant("", fast=False)


def splits(suite):
    return {split.name: split.examples for split in suite.splits}


def said(examples):
    return {(example.prompt, example.response) for example in examples}


def test_it_is_the_same_every_time_and_found_by_its_name(suite):
    again = get_suite("lab-noisy:0.2")
    assert (again.name, again.splits, again.data) == (suite.name, suite.splits, suite.data)


@pytest.mark.parametrize("variant", ["", "0", "0.4"])
def test_the_share_of_the_variant_is_corrupted_in_all_three_ways(variant):
    train = noisy_variant(variant, fast=False).data["train"]
    counts = noise_counts(train)
    assert sum(counts.values()) == round(float(variant or 0.2) * len(train)) == sum(bool(noise_spans(e)) for e in train)
    assert set(counts) == (set(KINDS) if counts else set())
    assert min(counts.values(), default=100) >= 100


def test_the_noise_of_a_larger_share_holds_that_of_a_smaller_one(suite):
    larger = {e.id: e for e in noisy_variant("0.4", fast=False).data["train"]}
    assert all(larger[e.id] == e for e in suite.data["train"] if noise_spans(e))


def test_what_is_measured_is_clean_and_is_not_trained_on(suite):
    clean = noisy_variant("0", fast=False)
    assert splits(suite) == splits(clean)
    for examples in splits(suite).values():
        assert not any(noise_spans(example) for example in examples)
        assert {e.prompt for e in examples}.isdisjoint(e.prompt for e in suite.data["train"])


def test_no_entity_that_is_measured_is_trained_on(suite):
    def names(examples):
        return {e.name for e in WORLD.entities if any(e.name in example.prompt for example in examples)}

    trained = names(suite.data["train"])
    for name in ("phrasing", "portrait", "known"):
        assert names(splits(suite)[name]).isdisjoint(trained), name


def test_answers_are_the_worlds(suite):
    true = {(fact.id, f"{fact.answer}.") for fact in WORLD.facts}
    for name in ("phrasing", "known"):
        assert {(e.group, e.response) for e in splits(suite)[name]} <= true
    for example in splits(suite)["portrait"]:
        first, second = example.id.split("-portrait-")[1].split("-")
        facts = {f.relation: f.answer for e in WORLD.entities if e.id == example.group for f in e.facts}
        parts = example.response.split(". ")
        assert parts[0].endswith(f"is {facts[first]}")
        assert parts[1].endswith(f"is {facts[second]}.")


def test_exercises_are_right_and_pairwise_different(suite):
    exercises = [
        e for e in (*suite.data["train"], *splits(suite)["exercises"]) if e.kind in ("predecessor", "reverse", "ends")
    ]
    right = {
        "Before": lambda key: f"{int(key) - 1}.",
        "Reverse": lambda key: f"{' '.join(key.split()[::-1])}.",
        "Ends": lambda key: f"{key.split()[0]} {key.split()[-1]}.",
    }
    assert len({e.prompt for e in exercises}) == len(exercises) == 3 * (400 + 50)
    for example in exercises:
        if not noise_spans(example):
            task, _, key = example.prompt.partition(": ")
            assert example.response == right[task](key)


def test_no_document_of_the_base_says_any_of_it(suite):
    documents = {(document.prompt, document.response) for document in WORLD.documents}
    asked = {prompt for prompt, _ in documents}
    assert said(suite.data["train"]).isdisjoint(documents)
    assert asked.isdisjoint(e.prompt for examples in splits(suite).values() for e in examples)


def test_every_task_is_measured_and_a_fast_suite_measures_half(suite):
    sizes = {name: len(examples) for name, examples in splits(suite).items()}
    assert sizes == MEASURED | {"exercises": 3 * MEASURED["exercises"]}
    fast = splits(noisy_variant("", fast=True))
    assert {name: 2 * len(examples) for name, examples in fast.items()} == sizes
    assert all(said(fast[name]) <= said(examples) for name, examples in splits(suite).items())


def test_the_noisy_tokens_of_the_corpus_are_known(suite):
    tokenizer = train_tokenizer(WORLD)
    noisy = [example for example in suite.data["train"] if noise_spans(example)]
    clean = [example for example in suite.data["train"] if not noise_spans(example)]
    for examples, marked in ((noisy[:100], True), (clean[:20], False)):
        for example in examples:
            encoded = encode(example, tokenizer, Formatting())
            labels = noise_labels(example, encoded, tokenizer, Formatting())
            assert labels.any() == marked
            assert not labels[-1], "the end token"


@pytest.mark.parametrize("variant", ["much", "1.5", "-0.1", "nan"])
def test_a_share_that_is_none_is_refused(variant):
    with pytest.raises(RecipeError, match=f"lab-noisy:{variant}: '{variant}' is no share"):
        get_suite(f"lab-noisy:{variant}")


@pytest.mark.slow
def test_clean_answers_teach_and_noisy_ones_teach_less(tmp_path):
    from forgetting.pipeline.run.run import run
    from forgetting.recipe import recipe_from
    from forgetting.runs.results import Results

    def measured(share):
        recipe = {
            "name": f"noise-{share}",
            "model": str(BASE),
            "output": str(tmp_path),
            "dtype": "float32",
            "threads": 1,
            "data": {"train": {"suite": f"lab-noisy:{share}"}},
            "stages": [
                {
                    "name": "train",
                    "method": "sft",
                    "learning_rate": 1e-3,
                    "batch_size": 32,
                    "schedule": "linear",
                    "warmup": 0.03,
                    "evaluate_every": None,
                }
            ],
            "evaluate": [f"lab-noisy:{share}"],
        }
        folder = run(recipe_from(recipe, "noisy"))
        points = Results.load(folder).evaluations
        return [{m.key: m.value for m in point.measures} for point in points]

    before, clean = measured("0")
    _, noisy = measured("0.4")
    for task in ("phrasing", "portrait", "exercises"):
        assert clean[f"{task}/exact_match"] > before[f"{task}/exact_match"] + 0.1
        assert noisy[f"{task}/exact_match"] < clean[f"{task}/exact_match"] - 0.05
        assert noisy[f"{task}/probability"] < clean[f"{task}/probability"] - 0.05
    assert noisy["known/exact_match"] < clean["known/exact_match"] - 0.05
