"""The vocabulary head, which maps a final hidden state to logits, for all known model families.

A model is split in two: its body gives hidden states, its head is applied to supervised positions only. A family with
an unknown head takes the plain path: the model's own logits replace hidden states, and the head is the identity.
A model that is not a single transformers model defines its final states and its head itself (`LanguageModel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils.generic import is_flash_attention_requested

from forgetting.models.rotation import by_sequence, sequence_lengths

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
"""Model types with logits softcap(scale · (W h + b)) of the body's last hidden state; a test compares each with its own
forward."""


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
        """The number of logits per position; for the identity, the size of its input."""
        return hidden_ND.shape[-1] if self.weight_VD is None else self.weight_VD.shape[0]

    def frozen_copy(self) -> Head:
        """A copy of the head with its own weights, which no optimiser updates."""

        def copy(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.detach().clone()

        return Head(copy(self.weight_VD), copy(self.bias_V), self.scale, self.softcap)


IDENTITY = Head(None)


@runtime_checkable
class LanguageModel(Protocol):
    """A model that computes next-token log-probabilities in its own way, such as a combination of models.

    It is a module with `config`, `generation_config` and `generate` like transformers' models, and can be evaluated
    like them.
    """

    members: Sequence[nn.Module]
    """The transformers models inside; keys and values can be shared if all of them support it."""

    def final_states(self, **inputs: Any) -> Tensor:
        """The input of its head, `[B, T, D]`, from a forward's inputs: `input_ids`, perhaps `past_key_values`, …"""

    def vocabulary_head(self) -> Head:
        """The head, from final states to logits."""


def causal_model(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside, with or without PEFT's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


def text_config(model: nn.Module) -> PreTrainedConfig:
    """The config of the part that reads and writes text: a model that also sees or hears has one for each part."""
    return text_part(causal_model(model).config)


def text_part(config: PreTrainedConfig) -> PreTrainedConfig:
    """The same of a config; a plain model's is its own."""
    return config.get_text_config(decoder=True)


def longest_row(model: nn.Module) -> int | None:
    """The model's maximum number of positions; None if its config does not say."""
    return longest_of(causal_model(model).config)


def longest_of(config: PreTrainedConfig) -> int | None:
    """The same by its config."""
    part = text_part(config)
    return getattr(part, "max_position_embeddings", None) or getattr(part, "max_seq_len", None)  # MPT's name for it


def vocabulary_size(model: nn.Module) -> int:
    """How many logits the model gives per position."""
    weight = getattr(causal_model(model).get_output_embeddings(), "weight", None)
    return int(text_config(model).vocab_size if weight is None else weight.shape[0])


def embedding_rows(model: nn.Module) -> int:
    """How many token ids the model can read: those below this number."""
    return int(causal_model(model).get_input_embeddings().weight.shape[0])


def hidden_size(model: nn.Module) -> int:
    """The size of the hidden state of one token."""
    return int(text_config(model).hidden_size)


def members_of(model: nn.Module) -> list[PreTrainedModel]:
    """The transformers models that a model consists of; for most, the model itself."""
    inner = causal_model(model)
    return [causal_model(member) for member in inner.members] if isinstance(inner, LanguageModel) else [inner]


def head_of(model: nn.Module) -> Head:
    """The model's head, or the identity if its family or module is unknown (then use plain logits)."""
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
    """The input of `head` at all positions: final hidden states `[B, T, D]`, or plain logits `[B, T, V]`.

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
    """The input of `head` at the N source positions: final hidden states `[N, D]`, or plain logits `[N, V]`.

    Args:
        position_ids_BT: for packed rows, positions that restart at each sequence. No token then sees another
            sequence, if `models.packing.why_padded` returns None for the model.
    """
    inner = causal_model(model)
    inputs: dict[str, Any] = {"input_ids": input_ids_BT, "attention_mask": attention_mask_BT, "use_cache": False}
    if position_ids_BT is not None:
        # Without a mask, transformers distinguishes packed sequences by positions that restart.
        inputs |= {"attention_mask": None, "position_ids": position_ids_BT}
        if is_flash_attention_requested(inner.config):  # it distinguishes them in a single row only
            inputs |= {name: inputs[name].view(1, -1) for name in ("input_ids", "position_ids")}
    lengths_BT = sequence_lengths(attention_mask_BT, inputs.get("position_ids"))
    with by_sequence(model, lengths_BT):
        return final_states(model, head, **inputs).flatten(0, 1).index_select(0, sources_N)
