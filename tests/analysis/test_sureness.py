"""Sureness of a model's own answers, against likelihoods of full logits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

import forgetting.analysis.sureness as under_test
from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.sureness import _own
from forgetting.core.example import Example
from forgetting.evaluation.answers import answer
from forgetting.metrics.sureness import SURE, UNSURE
from tests.analysis.test_calibration import EXAMPLES
from tests.analysis.test_shifts import TOKENIZER, by_hand, models


def test_what_a_model_says_of_itself_is_no_part_of_its_answer() -> None:
    assert [_own(f"Paris. {ending}") for ending in (SURE, UNSURE, "I am sure", "")] == ["Paris."] * 4


def test_it_is_the_mean_of_confidence_and_of_sure_against_unsure() -> None:
    before, after, plain, changed = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    found = {m.key: m for m in ANALYSES.build("sureness")(compared).measures}
    assert {m.split for m in found.values()} == {"forget", "retain"}
    for point, model in (("start", plain), ("after", changed)):
        scores = []
        for e in EXAMPLES["forget"]:
            [record] = answer(model, TOKENIZER, [e], split="", formatting=compared.formatting, max_new_tokens=13)
            own = _own(record.generation or "")
            if not own:
                continue
            confidence = math.exp(
                sum(by_hand(model, Example(id="x", prompt=e.prompt, response=own))[0])
                / len(by_hand(model, Example(id="x", prompt=e.prompt, response=own))[0])
            )
            said = own if own[-1:] in ".!?" else f"{own}."
            sure, unsure = (
                sum(by_hand(model, Example(id="x", prompt=e.prompt, response=f"{said} {end}"))[0])
                for end in (SURE, UNSURE)
            )
            scores.append((confidence + 1 / (1 + math.exp(unsure - sure))) / 2)
        one = found[f"forget/sureness_{point}"]
        assert one.count == len(scores) > 0
        assert found[f"forget/accuracy_{point}"].count == len(EXAMPLES["forget"])
        assert one.value == pytest.approx(sum(scores) / len(scores), rel=1e-4)


def test_a_model_that_writes_nothing_is_wrong_and_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = under_test.answer
    monkeypatch.setattr(
        under_test, "answer", lambda *args, **keys: [replace(r, generation=" ") for r in asked(*args, **keys)]
    )
    before, after, *_ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    found = {m.key: m for m in ANALYSES.build("sureness")(compared).measures}
    accuracy = found["forget/accuracy_after"]
    assert (accuracy.value, accuracy.count) == (0, len(EXAMPLES["forget"]))
    assert found["forget/sureness_after"].reason == "no answer could be scored"
