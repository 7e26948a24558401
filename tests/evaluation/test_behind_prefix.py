"""Answers behind a prefix that is run once are those of prompts that are run whole."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedModel

from forgetting.core.example import Example
from forgetting.data.formatting import Formatting
from forgetting.data.shots import Shot, Shots
from forgetting.evaluation import behind_prefix
from forgetting.evaluation.answers import answer
from forgetting.evaluation.behind_prefix import written_answers
from tests.data.tokenizers import byte_level
from tests.models.tiny import tiny_model

SHOTS = Shots(examples=tuple(Shot(prompt=f"Where is {n}?", response=f"In {n}land.") for n in ("Bo", "Cy", "Di")))
EXAMPLES = [
    Example(id=str(i), prompt=f"Where is {n}?", response="At home.")
    for i, n in enumerate(["Ada", "Eve", "Ada", "Gustav the Second", "Fay", "Ivo and Ida"])
]


def decided(family: str) -> PreTrainedModel:
    tokenizer = byte_level(size=460)
    keys: dict[str, Any] = {"n_positions": 512} if family == "gpt2" else {"max_position_embeddings": 512}
    model = tiny_model(family, vocab=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **keys)
    for parameter in model.parameters():  # so that greedy answers do not hang on rounding
        parameter.data *= 3
    return model.eval()


def both(family: str, shots: Shots | None, examples: list[Example]) -> tuple[dict[int, str], dict[int, str | None]]:
    model, tokenizer, how = decided(family), byte_level(size=460), Formatting(shots=shots)
    found: dict[int, str] = {}
    for some in written_answers(model, tokenizer, examples, formatting=how, max_new_tokens=9):
        found |= some
    records = answer(model, tokenizer, examples, split="x", formatting=how, max_new_tokens=9)
    return found, {i: record.generation for i, record in enumerate(records)}


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("shots", [SHOTS, None])
def test_the_answers_are_those_of_an_evaluation(family: str, shots: Shots | None) -> None:
    found, expected = both(family, shots, EXAMPLES)
    assert found == expected
    assert len(found) == len(EXAMPLES)


def test_a_question_alone_shares_nothing_and_is_answered() -> None:
    found, expected = both("llama", SHOTS, EXAMPLES[:1])
    assert found == expected


def test_a_model_whose_cache_cannot_be_shared_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind_prefix, "shares_cache", lambda model, longest: False)
    found, expected = both("llama", SHOTS, EXAMPLES)
    assert found == expected


def test_each_batch_is_given_as_soon_as_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind_prefix, "_BATCH", 1)
    model, tokenizer = decided("llama"), byte_level(size=460)
    batches = list(written_answers(model, tokenizer, EXAMPLES, formatting=Formatting(), max_new_tokens=2))
    assert [len(b) for b in batches].count(2) == 1, "two examples with one question are answered together"
    assert sorted(n for b in batches for n in b) == list(range(len(EXAMPLES)))
