"""The update of adapters to each matrix, as the product of two thin ones; no tensor of the matrix's size is formed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.models.adapters.curlora import curlora_factors
from forgetting.models.adapters.lora import lora_layers

Factors = tuple[Tensor, Tensor]
"""`[out, r]` and `[r, in]`, fp32 at least; their product is the update."""


@torch.no_grad()
def added_factors(model: PreTrainedModel | PeftModel, names: Sequence[str]) -> dict[str, Factors]:
    """The summed update of the adapters `names` to the model's matrices, by their name in the plain model.

    LoRA: s·B and A (Hu et al. 2022, https://arxiv.org/abs/2106.09685). CURLoRA: C·U and R. Several adapters are
    concatenated, so r is the sum of their ranks.
    """
    parts: dict[str, list[Factors]] = {}
    for name in names:
        for module, layer in lora_layers(model, name).items():
            left = layer.scaling[name] * _whole(layer.lora_B[name].weight)
            parts.setdefault(module, []).append((left, _whole(layer.lora_A[name].weight)))
        for module, factors in curlora_factors(model, name).items():
            parts.setdefault(module, []).append((_whole(factors.C) @ _whole(factors.U), _whole(factors.R)))
    return {module: side_by_side(some) for module, some in parts.items()}


def side_by_side(parts: Sequence[Factors]) -> Factors:
    """The factors of a sum of products."""
    return torch.cat([left for left, _ in parts], 1), torch.cat([right for _, right in parts])


def _whole(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))
