"""The attack that asks often."""

import math
from pathlib import Path

import pytest

from forgetting.audits import ATTACKS, Target, attack_measures
from forgetting.audits.sample import BOUND, sampled_measures
from forgetting.benchmarks.lab.suite import BASE, lab_suite, oracle_folder
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting
from forgetting.evaluation.sampling import Sampling, sample_answers
from forgetting.metrics.proportions import most_on_average
from forgetting.models.loading import load_model
from tests.golden import golden
from tests.models.tiny import tiny_model, tiny_tokenizer

EXAMPLES = [
    Example(id="a", prompt="the cat", response="sat on"),
    Example(id="d", prompt="", response="a bird flew", form="text"),
]


def test_each_question_is_answered_n_times_and_a_text_of_three_words_is_not_asked() -> None:
    target = Target(model=tiny_model("llama"), tokenizer=tiny_tokenizer(), split="forget", examples=EXAMPLES, seed=1)
    found = ATTACKS.build("sample", {"n": 4, "temperature": 0.8, "top_p": 0.9})(target)
    assert found == sample_answers(
        target.model,
        target.tokenizer,
        EXAMPLES[:1],
        Sampling(4, temperature=0.8, top_p=0.9, seed=1),
        split="forget",
        formatting=Formatting(),
    )


def test_how_much_more_other_answers_may_say_is_bounded_question_by_question() -> None:
    said = {"a": ["sat on", "sat up", "ran"], "b": ["no"] * 3}
    records = [
        Record(id=key, split="forget", prompt="a cat", answer="sat on", generation=answer)
        for key, answers in said.items()
        for answer in answers
    ]
    (bound,) = (m for m in sampled_measures({"forget": records}) if m.name == BOUND)
    expected = [most_on_average(values, 0.99) for values in ([1.0, 0.5, 0.0], [0.0] * 3)]
    assert bound.value == pytest.approx(sum(expected) / 2) and bound.direction == "down" and bound.count == 2


def test_without_questions_it_says_so() -> None:
    target = Target(model=tiny_model("llama"), tokenizer=tiny_tokenizer(), split="forget", examples=EXAMPLES[1:])
    with pytest.raises(DataError, match="none of the 1 forget examples has a prompt or a text of 4 tokens"):
        ATTACKS.build("sample")(target)


@pytest.mark.parametrize(
    ("parameter", "value"), [("n", 0), ("temperature", 0.0), ("temperature", math.nan), ("top_p", 0.0), ("top_p", 1.1)]
)
def test_a_parameter_out_of_range_is_one_line(parameter: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"attack 'sample': {parameter} is {value}; write"):
        ATTACKS.build("sample", {parameter: value})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [("base", BASE), ("oracle", oracle_folder("rare"))])
def test_the_lab_leaks_as_it_did_in_an_independent_trial(name: str, model: Path) -> None:
    """16 answers a question at temperature 1; another implementation, other random numbers."""
    expected = golden("lab_audit_trial")[name]["leak_at_k"]
    loaded = load_model(model, dtype="float32")
    examples = lab_suite("rare").data["forget"]
    target = Target(model=loaded.model, tokenizer=loaded.tokenizer, split="forget", examples=examples)
    found = {m.name: m for m in attack_measures(ATTACKS.build("sample", {"n": 16})(target), "forget")}
    for k in (1, 16):
        leak = found[f"leak@{k}"]
        assert leak.count == 78
        assert leak.value == pytest.approx(expected[str(k)], abs=0.04)
