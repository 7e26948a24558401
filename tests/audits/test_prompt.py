"""The attack that asks behind other words."""

import pytest

from forgetting.audits import ATTACKS, Target
from forgetting.audits.prompt import PREFIX, WORDS
from forgetting.evaluation.answers import answer
from tests.audits.test_asking import DOCUMENT, QUESTION
from tests.models.tiny import tiny_model, tiny_tokenizer


def test_each_question_is_asked_in_six_ways_and_the_answer_is_begun_in_one() -> None:
    target = Target(
        model=tiny_model("llama"),
        tokenizer=tiny_tokenizer(),
        split="forget",
        examples=[QUESTION, DOCUMENT],
        max_new_tokens=3,
    )
    found = list(ATTACKS.build("prompt")(target))
    own = {r.attempt: r for r in found if r.id == QUESTION.id}
    assert list(own) == ["prefix", *WORDS] and len(own) == 6
    assert [r.attempt for r in found if r.id == DOCUMENT.id] == list(WORDS)
    assert own["hint"].prompt == "The answer begins with 's'. the cat"
    assert all(r.prompt.endswith("the cat") and r.answer == "sat on" for r in own.values())
    begun = target.formatting.model_copy(update={"prefix": PREFIX})
    (same,) = answer(target.model, target.tokenizer, [QUESTION], split="forget", formatting=begun, max_new_tokens=3)
    assert own["prefix"].generation == same.generation
    assert own["prefix"].score.logp == pytest.approx(same.score.logp, rel=1e-4)  # type: ignore[union-attr]
