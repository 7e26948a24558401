"""Models with random weights in the shapes of published ones, made where they are measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from forgetting.models.adapters import linear_layers
from forgetting.models.quantised import settle


@dataclass(frozen=True)
class Size:
    """A Llama's shape."""

    hidden: int
    inner: int
    layers: int
    heads: int
    shared: int
    """Heads of keys and values."""
    tied: bool
    vocabulary: int = 128_256


SIZES = {
    "1b": Size(2_048, 8_192, 16, 32, 8, tied=True),
    "8b": Size(4_096, 14_336, 32, 32, 8, tied=False),
    "tiny": Size(64, 128, 2, 4, 2, tied=False, vocabulary=512),
}
"""Llama 3.2 1B and Llama 3.1 8B; and one for trying everything out on a processor."""


def random_llama(size: Size, device: str, *, attention: str = "sdpa", four_bits: bool = False) -> PreTrainedModel:
    """A model in bf16 that never exists elsewhere than on its device (8B: 16 GB).

    Args:
        attention: transformers' name of the attention.
        four_bits: with the decoder's matrices in nf4, quantised one by one (8B: about 6 GB).
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.shared,
        tie_word_embeddings=size.tied,
        max_position_embeddings=8_192,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        pad_token_id=0,
        attn_implementation=attention,
    )
    with torch.device(device):
        model = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
    if four_bits:
        _quantise(model, device)
    return model.train()


def _quantise(model: PreTrainedModel, device: str) -> None:
    """Replaces the decoder's matrices by their 4 bits, as a model that is loaded so has them."""
    import bitsandbytes as bnb

    for name, layer in linear_layers(model).items():
        assert isinstance(layer, nn.Linear)
        place = model.get_submodule(name.rpartition(".")[0])
        small = bnb.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=False,
            compute_dtype=torch.bfloat16,
            quant_type="nf4",
            device="meta",
        )
        weight = layer.weight.detach()
        small.weight = bnb.nn.Params4bit(weight, requires_grad=False, compress_statistics=True, quant_type="nf4")
        setattr(place, name.rpartition(".")[2], small.to(device))
    settle(model, "random weights")
