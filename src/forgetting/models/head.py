"""The vocabulary head: what turns a final hidden state into logits, in every family whose head we know.

A model is split in two: its body gives hidden states, its head is applied to supervised positions only. A family whose
head is not known takes the plain path: the model's own logits stand in for hidden states, and the head is the identity.
Whatever is no single transformers model says itself what its final states and its head are (`LanguageModel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import is_flash_attention_requested

KNOWN_FAMILIES = frozenset(
    {
        "cohere",
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "gpt_neo",
        "gpt_neox",
        "granite",
        "llama",
        "mistral",
        "olmo2",
        "phi",
        "qwen2",
        "qwen3",
        "smollm3",
    }
)
"""Model types whose logits are softcap(scale · (W h + b)) of the body's last hidden state; a test compares each with
its own forward."""


@dataclass(frozen=True, slots=True)
class Head:
    """logits = softcap(scale · (W h + b)). With no weight it is the identity (the plain path)."""

    weight_VD: Tensor | None
    bias_V: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def project(self, hidden_ND: Tensor) -> Tensor:
        """W h + b in the model's own precision, `[N, V]`."""
        if self.weight_VD is None:
            return hidden_ND
        bias_V = None if self.bias_V is None else self.bias_V.to(hidden_ND.dtype)
        return nn.functional.linear(hidden_ND, self.weight_VD.to(hidden_ND.dtype), bias_V)

    def finish(self, projected_NV: Tensor) -> Tensor:
        """Scale and soft-cap, in fp32 (float64 stays), `[N, V]`. Differentiable."""
        logits_NV = projected_NV if projected_NV.dtype == torch.float64 else projected_NV.float()
        if self.weight_VD is None:
            return logits_NV
        if self.scale != 1.0:
            logits_NV = logits_NV * self.scale
        if self.softcap is not None:
            logits_NV = self.softcap * torch.tanh(logits_NV / self.softcap)
        return logits_NV

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """The logits of N positions, fp32 `[N, V]`."""
        return self.finish(self.project(hidden_ND))

    def vocabulary(self, hidden_ND: Tensor) -> int:
        """How many logits it gives of a position; as the identity, those it is given."""
        return hidden_ND.shape[-1] if self.weight_VD is None else self.weight_VD.shape[0]

    def frozen_copy(self) -> Head:
        """The same head with weights of its own that no optimiser touches."""

        def copy(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.detach().clone()

        return Head(copy(self.weight_VD), copy(self.bias_V), self.scale, self.softcap)


IDENTITY = Head(None)


@runtime_checkable
class LanguageModel(Protocol):
    """What gives next-token log-probabilities in a way of its own, such as a combination of models.

    It is a module with `config`, `generation_config` and `generate` as transformers' models have them, and is evaluated
    wherever one of those is.
    """

    members: Sequence[nn.Module]
    """The transformers models inside: keys and values can be shared where all of them can share theirs."""

    def final_states(self, **inputs: Any) -> Tensor:
        """What its head is applied to, `[B, T, D]`, of a forward's inputs: `input_ids`, perhaps `past_key_values`, …"""

    def vocabulary_head(self) -> Head:
        """From final states to logits."""


def causal_model(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside, whether or not PEFT wraps it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def longest_row(model: nn.Module) -> int | None:
    """How many positions the model was made for; None if its config does not say."""
    return getattr(causal_model(model).config, "max_position_embeddings", None)


def members_of(model: nn.Module) -> list[PreTrainedModel]:
    """The transformers models that a model consists of: itself, for most."""
    inner = causal_model(model)
    return [causal_model(member) for member in inner.members] if isinstance(inner, LanguageModel) else [inner]


def head_of(model: nn.Module) -> Head:
    """The model's head, or the identity where the family or the module is not one we know (then use plain logits)."""
    inner = causal_model(model)
    if isinstance(inner, LanguageModel):
        return inner.vocabulary_head()
    config: Any = inner.config
    module = inner.get_output_embeddings()
    if config.model_type not in KNOWN_FAMILIES or type(module) is not nn.Linear:
        return IDENTITY
    scale = getattr(config, "logit_scale", None) or 1.0
    if getattr(config, "logits_scaling", None):
        scale /= config.logits_scaling
    return Head(module.weight, module.bias, float(scale), getattr(config, "final_logit_softcapping", None))


def final_states(model: nn.Module, head: Head, **inputs: Any) -> Tensor:
    """What `head` is applied to at all positions: final hidden states `[B, T, D]`, or plain logits `[B, T, V]`.

    Args:
        inputs: of a transformers model's forward.
    """
    inner = causal_model(model)
    if isinstance(inner, LanguageModel):
        return inner.final_states(**inputs)
    if head.weight_VD is None:
        return inner(**inputs).logits
    return inner.base_model(**inputs).last_hidden_state


def supervised_hidden(
    model: nn.Module,
    head: Head,
    input_ids_BT: Tensor,
    attention_mask_BT: Tensor,
    sources_N: Tensor,
    position_ids_BT: Tensor | None = None,
) -> Tensor:
    """What `head` is applied to at the N source positions: final hidden states `[N, D]`, or plain logits `[N, V]`.

    Args:
        position_ids_BT: of packed rows: positions that begin again at each sequence. No token then sees another
            sequence, if `models.packing.why_padded` has no objection to the model.
    """
    inner = causal_model(model)
    inputs: dict[str, Any] = {"input_ids": input_ids_BT, "attention_mask": attention_mask_BT, "use_cache": False}
    if position_ids_BT is not None:
        # transformers tells packed sequences apart by positions that restart, where no mask is given.
        inputs |= {"attention_mask": None, "position_ids": position_ids_BT}
        if is_flash_attention_requested(inner.config):  # it tells them apart in a single row only
            inputs |= {name: inputs[name].view(1, -1) for name in ("input_ids", "position_ids")}
    return final_states(model, head, **inputs).flatten(0, 1).index_select(0, sources_N)
