"""The norm of each answer's gradient is autograd's on the full logits, and open-unlearning's where it is asked for."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from forgetting.core.example import Example
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.gradient_norms import gradient_norms
from forgetting.models.adapters import AdapterSpec, attach, linear_layers
from forgetting.models.adapters.lora import effective_weight
from tests.golden import golden
from tests.metrics.membership.making import rows_of, weights
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model, tiny_tokenizer

EXAMPLES = [
    Example(id="a", prompt="the cat", response="sat on the big bird"),
    Example(id="b", prompt="a small dog ran", response="under"),
]


def rows() -> list[Encoded]:
    return [encode(example, tiny_tokenizer(), Formatting()) for example in EXAMPLES]


def by_hand(model: nn.Module, row: Encoded) -> dict[str, torch.Tensor]:
    """The gradient of the mean loss on the full logits, by weight."""
    places = [i for i, weight in enumerate(row.weights) if weight]
    log_p_TV = model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
    loss = -torch.stack([log_p_TV[i - 1, row.ids[i]] for i in places]).mean()
    every = dict(model.named_parameters())
    return dict(zip(every, torch.autograd.grad(loss, list(every.values())), strict=True))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_norm_is_that_of_all_weights_together_and_the_model_stays_as_it_was(family: str) -> None:
    model = tiny_model(family)
    expected = [torch.cat([g.flatten() for g in by_hand(model, row).values()]) for row in rows()]
    kept = model.get_input_embeddings().weight
    kept.grad = torch.ones_like(kept)
    model.train()
    for p in list(model.parameters())[1:3]:
        p.requires_grad_(False)
    trainable = [p.requires_grad for p in model.parameters()]
    found = gradient_norms(model, rows(), pad_id=0)
    assert found == pytest.approx([float(g.norm()) for g in expected], rel=1e-4)
    assert gradient_norms(model, rows(), pad_id=0, order=math.inf) == pytest.approx(
        [float(g.abs().max()) for g in expected], rel=1e-4
    )
    assert model.training and [p.requires_grad for p in model.parameters()] == trainable
    assert torch.equal(kept.grad, torch.ones_like(kept))
    assert all(p.grad is None for p in model.parameters() if p is not kept)
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_with_an_adapter_the_gradient_is_that_of_the_effective_weights() -> None:
    model = tiny_model("llama")
    with_adapter = attach(model, AdapterSpec(rank=2), name="x", seed=0)
    stir(with_adapter)
    found = gradient_norms(with_adapter, rows(), pad_id=0)
    merged = tiny_model("llama")
    with torch.no_grad():
        for name, layer in linear_layers(with_adapter).items():
            dict(merged.named_modules())[name].weight.copy_(effective_weight(layer))
    expected = gradient_norms(merged, rows(), pad_id=0)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found != pytest.approx(gradient_norms(tiny_model("llama"), rows(), pad_id=0), rel=1e-4)


class _Config(PretrainedConfig):
    model_type = "small"


class _Small(PreTrainedModel):
    """logits = tanh(E[x]) Wᵀ + c, the model of the figures."""

    config_class = _Config

    def __init__(self) -> None:
        super().__init__(_Config())
        embedding, head, bias = (nn.Parameter(torch.tensor(w)) for w in weights())
        self.embedding, self.head, self.bias = embedding, head, bias

    def get_input_embeddings(self) -> Any:
        return SimpleNamespace(weight=self.embedding, parameters=lambda: iter([self.embedding]))

    def get_output_embeddings(self) -> None:
        return None

    def forward(self, input_ids: torch.Tensor, **_: object) -> CausalLMOutput:
        return CausalLMOutput(logits=torch.tanh(self.embedding[input_ids]) @ self.head.T + self.bias)


@pytest.mark.parametrize(("name", "order"), [("p2", 2.0), ("p1", 1.0), ("pinf", math.inf)])
def test_the_peers_reading_gives_the_peers_scores(name: str, order: float) -> None:
    figures = golden("mia")["figures"][f"gradnorm_{name}"]
    for kind in ("forget", "holdout"):
        some = [
            Encoded(str(i), row.ids, tuple(float(at >= row.prompt) for at in range(len(row.ids))))
            for i, row in enumerate(rows_of(kind))
        ]
        found = gradient_norms(_Small(), some, pad_id=0, reading="open_unlearning", order=order)
        assert found == pytest.approx(figures["formula_float64"][kind], rel=1e-9)


def test_an_answer_without_a_token_left_has_none() -> None:
    row = Encoded("x", (1, 2), (0.0, 1.0))
    assert gradient_norms(_Small(), [row], pad_id=0, reading="open_unlearning") == [None]
    assert gradient_norms(_Small(), [row], pad_id=0) != [None]
