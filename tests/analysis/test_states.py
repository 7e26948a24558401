"""Moves of hidden states are those of each example alone in float64, whatever the batches."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from forgetting.analysis import ANALYSES, Compared, states
from forgetting.analysis.distances import DISTANCES
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.metrics.changes import mean_change
from forgetting.models.view import View
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, models
from tests.models.tiny import tiny_model

LAYERS = 2


@torch.no_grad()
def by_hand(model: nn.Module, example: Example) -> np.ndarray:
    """`[P, L, D]`: the last prompt token's states, and the mean over the answer's tokens."""
    row = encode(example, TOKENIZER, Formatting())
    kept: list[np.ndarray] = []
    hooks = [
        block.register_forward_hook(
            lambda module, args, output: kept.append((output[0] if isinstance(output, tuple) else output)[0].numpy())
        )
        for block in model.get_decoder().layers
    ]
    model(torch.tensor([row.ids]))
    for hook in hooks:
        hook.remove()
    answer = [i for i, w in enumerate(row.weights) if w]
    states_LTD = np.stack([k if k.ndim == 2 else k[0] for k in kept])
    return np.stack([states_LTD[:, answer[0] - 1], states_LTD[:, answer].mean(axis=1)])


def moved_by_hand(before: nn.Module, after: nn.Module, role: str, name: str) -> np.ndarray:
    plain, changed = (copy.deepcopy(m).double().eval() for m in (before, after))
    pairs = [(by_hand(plain, e), by_hand(changed, e)) for e in EXAMPLES[role]]
    return np.stack([DISTANCES[name](b, a) for b, a in pairs])


def test_measures_and_figures_are_those_of_each_example_alone() -> None:
    before, after, plain, changed = models()
    merged = copy.deepcopy(changed).merge_and_unload()
    found = ANALYSES.build("states")(Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES))
    measures = {m.key: m for m in found.measures}
    series = {(s.figure, s.name): s for s in found.series}
    assert len(measures) == 2 * 3 * 2 and len(series) == len(measures)
    for role in ("forget", "retain"):
        clusters = [e.cluster for e in EXAMPLES[role]]
        for name in DISTANCES:
            expected_NPL = moved_by_hand(plain, merged, role, name)
            for place, short in enumerate(("prompt", "answer")):
                key = f"state_{name}_{short}"
                measure = measures[f"{role}/{key}"]
                means = expected_NPL[:, place].mean(axis=1).tolist()
                estimate = mean_change(means, clusters, key=f"{role}/{key}")
                assert measure.value == pytest.approx(estimate.value, rel=1e-4, abs=1e-6)
                assert (measure.low is None) == (estimate.low is None)
                if estimate.low is not None:
                    assert (measure.low, measure.high) == pytest.approx(
                        (estimate.low, estimate.high), rel=1e-3, abs=1e-5
                    )
                assert measure.count == len(EXAMPLES[role])
                line = series[key, role]
                assert line.x == (1.0, 2.0)
                assert line.y == pytest.approx(expected_NPL[:, place].mean(axis=0), rel=1e-4, abs=1e-6)
    assert measures["forget/state_distance_answer"].value > 1e-3, "the models differ"


def test_the_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, _, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    whole = ANALYSES.build("states")(compared).measures
    monkeypatch.setattr(states, "BATCH_TOKENS", 8)
    monkeypatch.setattr(states, "ENOUGH_TOKENS", 8)
    some = ANALYSES.build("states")(compared).measures
    assert [m.key for m in some] == [m.key for m in whole]
    assert [m.value for m in some] == pytest.approx([m.value for m in whole], rel=1e-4, abs=1e-6)


def test_a_model_against_itself_has_not_moved() -> None:
    before, _, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples=EXAMPLES)
    for m in ANALYSES.build("states")(compared).measures:
        assert m.value == pytest.approx(1.0 if "cosine" in m.name else 0.0, abs=1e-12)


def test_models_of_other_shapes_are_not_compared() -> None:
    before, _, _, _ = models()
    other = View(tiny_model("llama", num_hidden_layers=3))
    with pytest.raises(ModelError, match="compare models of one shape"):
        ANALYSES.build("states")(Compared(before=before, after=other, tokenizer=TOKENIZER, examples=EXAMPLES))
