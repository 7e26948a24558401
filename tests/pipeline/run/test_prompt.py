"""The prompt of the report is what the model sees: its tokens as text."""

from __future__ import annotations

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Declaration
from forgetting.core.example import Example
from forgetting.data.formatting import Formatting
from forgetting.data.shots import Shot, Shots
from forgetting.pipeline.run.prompt import rendered_prompt
from tests.data.tokenizers import byte_level

FIRST = Split(name="retain", examples=(Example(id="r", prompt="Where?", response="London"),))
FORGET = Split(name="forget", examples=(Example(id="f", prompt="Who?", response="Ada"),))


def suite(*splits: Split, forget: tuple[str, ...] = ()) -> Suite:
    return Suite(name="s", splits=splits, metrics=(), declares=Declaration(forget_splits=forget))


def test_the_first_forget_example_is_shown_with_the_special_tokens() -> None:
    found = rendered_prompt(suite(FIRST, FORGET, forget=("forget",)), byte_level(), Formatting())
    assert found is not None
    assert (found.split, found.text, found.answer) == ("forget", "<bos>Question: Who?\nAnswer:", " Ada<eos>")
    assert found.tokens == len(byte_level()("Question: Who?\nAnswer:").input_ids)


def test_without_a_forget_split_it_is_the_first_example_behind_its_shots() -> None:
    shots = Shots(examples=(Shot(prompt="Who?", response="Ada"),))
    found = rendered_prompt(suite(FIRST, FORGET), byte_level(), Formatting(shots=shots))
    assert found is not None and found.split == "retain"
    assert found.text == "<bos>Question: Who?\nAnswer: Ada\n\nQuestion: Where?\nAnswer:"
    assert found.answer == " London\n\n"
    assert rendered_prompt(suite(), byte_level(), Formatting()) is None
