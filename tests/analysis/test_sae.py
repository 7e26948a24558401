"""The coder is measured on what it did not see, and says what changed between two models."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch

from forgetting.analysis import Compared
from forgetting.analysis.sae import sae
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.models.view import View
from tests.analysis.test_shifts import TOKENIZER, models
from tests.models.tiny import WORDS

EXAMPLES = {
    role: [
        Example(id=f"{role}{i}", prompt=f"the {a}", response=f"{b} dog {a} ran", group=f"{role}{i}")
        for i, (a, b) in enumerate(list(itertools.product(WORDS[:6], WORDS[:4]))[start : start + 24])
    ]
    for role, start in (("forget", 0), ("retain", 0))
}


def test_measures_of_two_models() -> None:
    before, after, _, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    found = sae(features=64, k=4, steps=150)(compared)
    again = sae(features=64, k=4, steps=150)(compared)
    assert again == found
    by_key = {m.key: m for m in found.measures}
    for role in ("forget", "retain"):
        assert by_key[f"{role}/fvu_start"].value < by_key[f"{role}/fvu_after"].value
        assert by_key[f"{role}/nll_start"].count == by_key[f"{role}/features_tested"].count == 12
        costs = [
            by_key[f"{role}/nll_reconstructed_{p}"].value - by_key[f"{role}/nll_{p}"].value for p in ("after", "start")
        ]
        assert by_key[f"{role}/delta_cost_of_reconstruction"].value == pytest.approx(costs[0] - costs[1], abs=1e-9)
        changed = by_key[f"{role}/features_changed"].value
        drawn = [s for s in found.series if s.name == role]
        assert changed == 0 or len(drawn[0].x) == min(10, changed)
        assert all(
            low is None or low <= y <= high for s in drawn for y, low, high in zip(s.y, s.low, s.high, strict=True)
        )
    assert set(found.texts) == {f"{s.name} {x}" for s in found.series for x in s.x}
    assert by_key["coder/tokens"].value == 4 * 24
    assert by_key["forget/features_changed"].value > 0


def test_a_model_against_itself_has_no_changed_feature() -> None:
    before, _, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples=EXAMPLES)
    found = {m.key: m for m in sae(features=32, k=4, steps=20)(compared).measures}
    assert found["forget/features_changed"].value == found["forget/features_tested"].value == 0
    assert found["forget/fvu_start"].value == found["forget/fvu_after"].value


def test_a_layer_that_is_not_there_is_refused() -> None:
    _, _, plain, _ = models()
    compared = Compared(before=View(plain), after=View(plain), tokenizer=TOKENIZER, examples=EXAMPLES)
    with pytest.raises(ModelError, match=r"sae\.layer=9: the model has"):
        sae(layer=9)(compared)
    with pytest.raises(ValueError, match="k <= features"):
        sae(features=4, k=8)


def test_a_text_of_ones_own_teaches_the_coder_and_all_examples_are_measured(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("text") / "some.jsonl"
    file.write_text("".join(f'{{"text": "the {w} dog ran"}}\n' for w in WORDS[:12]))
    before, after, _, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    torch.manual_seed(0)
    found = {m.key: m for m in sae(features=16, k=2, steps=20, text=str(file))(compared).measures}
    assert found["forget/nll_start"].count == 24


def test_without_the_library_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsify", None)
    monkeypatch.setattr("forgetting.analysis.sae.token_states", lambda *_, **__: pytest.fail("states were read"))
    before, after, _, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    with pytest.raises(ModelError, match=r"pip install 'forgetting\[sae\]'"):
        sae(features=16, k=2, steps=2)(compared)


def test_one_token_teaches_nothing() -> None:
    with pytest.raises(ValueError, match="more than 1 token"):
        sae(tokens=1)
