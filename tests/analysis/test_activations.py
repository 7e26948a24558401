"""Pooled states are those of each example run alone, in any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.analysis import activations
from forgetting.analysis.activations import even, last_of_prompt, mean, odd, of_answer, pooled_states
from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
EXAMPLES = [
    Example(id=str(i), prompt=" ".join(WORDS[: 1 + i % 5]), response=" ".join(WORDS[i : i + 1 + i % 3]))
    for i in range(12)
]


@torch.no_grad()
def alone(model: torch.nn.Module, example: Example) -> np.ndarray:
    """The output of each block, `[L, T, D]`; the last one before the final norm."""
    found = []
    blocks = model.model.layers
    hooks = [
        b.register_forward_hook(lambda m, a, out: found.append(out[0] if isinstance(out, tuple) else out))
        for b in blocks
    ]
    model(torch.tensor([encode(example, TOKENIZER, Formatting()).ids]))
    for hook in hooks:
        hook.remove()
    return torch.cat(found).double().numpy()


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_pooled_states_are_those_of_each_example_alone(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "BATCH_TOKENS", 64)
    model = tiny_model(family)
    found = pooled_states(
        model, TOKENIZER, EXAMPLES, (mean, even, odd, last_of_prompt, of_answer), formatting=Formatting()
    )
    assert found.shape[:1] + found.shape[2:3] == (5, len(EXAMPLES))
    for number, example in enumerate(EXAMPLES):
        states_LTD = alone(model, example)
        row = encode(example, TOKENIZER, Formatting())
        prompt, supervised = len(row.prompt_ids), [i for i, w in enumerate(row.weights) if w]
        expected = [
            states_LTD.mean(1),
            states_LTD[:, 0::2].mean(1),
            states_LTD[:, 1::2].mean(1),
            states_LTD[:, prompt - 1],
            states_LTD[:, supervised].mean(1),
        ]
        assert found[:, :, number] == pytest.approx(np.stack(expected), abs=2e-5)


def test_without_examples_there_are_no_states() -> None:
    found = pooled_states(tiny_model("llama"), TOKENIZER, [], (mean,), formatting=Formatting())
    assert found.shape[2] == 0
