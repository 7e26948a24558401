"""What can be read from inside a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from forgetting.analysis.lens import layer_logp
from forgetting.audits import ATTACKS, Target, leaks
from forgetting.audits.layers import CONTROL, LAYER, PROBE, layers_measures
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting
from forgetting.models.unchanged import Snapshot
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

FORGET = [
    Example(
        id=f"f{i}",
        prompt=f"{WORDS[i % len(WORDS)]} {WORDS[(i + 1) % len(WORDS)]}",
        response=WORDS[(i + 2) % len(WORDS)],
        perturbed=(WORDS[(i + 3) % len(WORDS)],),
        fields={"subject": f"s{i // 2}"},
    )
    for i in range(24)
]


def attacked(examples: list[Example] = FORGET, **parameters: object) -> list[Record]:
    target = Target(model=tiny_model("llama"), tokenizer=tiny_tokenizer(), split="forget", examples=examples)
    before = Snapshot.of(target.model)
    records = list(ATTACKS.build("layers", parameters)(target))
    assert before.changed(target.model) is None
    return records


@torch.no_grad()
def test_each_fact_counts_at_the_layer_in_which_its_answer_is_likeliest() -> None:
    records = attacked()
    assert [record.id for record in records] == [e.id for e in FORGET]
    found_LN = layer_logp(tiny_model("llama"), tiny_tokenizer(), FORGET, formatting=Formatting())
    values = leaks(records, "probability")
    assert list(values.values()) == pytest.approx(list(np.exp(found_LN.max(0))), rel=1e-5)
    assert len({int(layer) for layer in found_LN.argmax(0)}) == 2  # one layer for all would give less
    assert [record.values[f"{LAYER}1"] for record in records] == pytest.approx(list(np.exp(found_LN[1])), rel=1e-5)
    assert all(value is None for value in leaks(records, "leak").values())


def test_measures_name_the_best_layer_and_the_probe_with_its_control() -> None:
    found = {m.name: m for m in layers_measures({"forget": attacked()})}
    best = int(found["best_layer"].value)
    records = attacked()
    means = [np.mean([r.values[f"{LAYER}{layer}"] for r in records]) for layer in (0, 1)]
    assert means[best] == max(means) and found["layer_probability"].value == pytest.approx(max(means))
    assert found["last_probability"].value == pytest.approx(means[1])
    assert found["best_probability"].value >= found["layer_probability"].value >= found["last_probability"].value
    assert found["best_probability"].direction == "down" and found["probe"].low is not None
    assert found["probe"].value == pytest.approx(np.mean([r.values[PROBE] for r in records]))
    assert found["probe_control"].value == pytest.approx(np.mean([r.values[CONTROL] for r in records]))
    assert found["probe"].value != found["probe_control"].value


def test_the_subjects_of_a_probe_are_those_of_the_facts() -> None:
    """Twelve subjects are enough; the same facts of nine are not, and then nothing is said."""
    nine = [replace(e, fields={"subject": f"s{min(i // 2, 8)}"}) for i, e in enumerate(FORGET)]
    assert all(PROBE in r.values for r in attacked()) and not any(PROBE in r.values for r in attacked(nine))
    missing = next(m for m in layers_measures({"forget": attacked(nine)}) if m.name == "probe")
    assert missing.value is None and "10 subjects with wrong answers" in missing.reason


def test_documents_are_read_as_they_are_asked() -> None:
    text = Example(id="d", form="text", response="the big dog runs over a red bird and the big dog")
    (record,) = attacked([text])
    assert record.prompt and record.answer and (record.prompt + record.answer).strip() == text.response
    assert layers_measures({"forget": []})[0].value is None


@pytest.mark.parametrize("parameters", [{"folds": 1}, {"strength": 0.0}, {"strength": float("inf")}])
def test_bad_parameters_are_one_line(parameters: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=r"folds is .* and strength is") as told:
        ATTACKS.build("layers", parameters)
    assert "\n" not in str(told.value)
