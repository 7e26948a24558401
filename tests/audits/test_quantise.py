"""The attack that rounds the weights of a copy."""

import copy
from dataclasses import replace

import pytest

from forgetting.audits import ATTACKS, Target
from forgetting.audits.asking import answers, questions
from forgetting.core.errors import RecipeError
from forgetting.models.adapters import add_lora, merged
from forgetting.models.rounding import ROUNDINGS, round_weights
from forgetting.models.unchanged import Snapshot
from tests.audits.test_asking import QUESTION
from tests.models.tiny import tiny_model, tiny_tokenizer


def test_the_copys_weights_with_its_adapters_are_rounded_and_the_model_stays() -> None:
    model = add_lora(tiny_model("llama"), name="more", rank=2, alpha=4, seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.1)
    model.eval()
    target = Target(model=model, tokenizer=tiny_tokenizer(), split="forget", examples=[QUESTION], max_new_tokens=3)
    before = Snapshot.of(model)
    found = list(ATTACKS.build("quantise", {"to": "int8, fp4"})(target))
    assert before.changed(model) is None
    assert [r.attempt for r in found] == ["int8", "fp4"]
    for record in found:
        whole = merged(copy.deepcopy(model)).eval()
        round_weights(whole, ROUNDINGS[record.attempt])
        same = replace(target, model=whole)
        assert record == answers(same, questions(same), attempt=record.attempt)[0]
    assert found[0].score != found[1].score


@pytest.mark.parametrize(("to", "message"), [("int3", "to names 'int3'; did you mean 'int"), ("", "names no rounding")])
def test_an_unknown_rounding_is_one_line(to: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ATTACKS.build("quantise", {"to": to})
