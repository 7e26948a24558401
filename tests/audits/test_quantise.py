"""The attack that rounds the weights of a copy."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.audits import ATTACKS, Target, leaks
from forgetting.audits.asking import answers, questions
from forgetting.benchmarks.lab.suite import BASE, lab_suite, oracle_folder
from forgetting.core.errors import RecipeError
from forgetting.models.adapters import add_lora, merged
from forgetting.models.loading import load_model
from forgetting.models.rounding import ROUNDINGS, round_weights
from forgetting.models.unchanged import Snapshot
from tests.audits.test_asking import QUESTION
from tests.golden import golden
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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "folder"), [("base", BASE), ("oracle", oracle_folder("rare"))])
def test_the_lab_knows_as_much_after_rounding_as_in_an_independent_trial(name: str, folder: Path) -> None:
    """NF4 and FP4 there by bitsandbytes. Shares of 78 facts; one fact more or less is 0.013."""
    trial = golden("lab_audit_trial")[name]["quantised"]
    expected = {"int8": "rtn8", "int4": "rtn4_g32", "nf4": "bnb_nf4", "fp4": "bnb_fp4"}
    loaded = load_model(folder, dtype="float32")
    examples = lab_suite("rare").data["forget"]
    target = Target(model=loaded.model, tokenizer=loaded.tokenizer, split="forget", examples=examples)
    found = list(ATTACKS.build("quantise", {"to": " ".join(expected)})(target))
    for attempt, key in expected.items():
        values = leaks([r for r in found if r.attempt == attempt]).values()
        assert len(values) == 78
        assert sum(v or 0.0 for v in values) / 78 == pytest.approx(trial[key][0], abs=0.014)
