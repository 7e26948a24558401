"""Several models combined into one: the weighted sum of their logits.

EFT (Mitchell et al. 2023, https://arxiv.org/abs/2310.12962, eq. 4-5) is such a combination:
log p ∝ log p_L + β·(log p_tuned − log p_base). Raw logits give the same, since the normaliser of each is constant over
the vocabulary and cancels.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from forgetting.core.errors import ModelError
from forgetting.models.adapters.active import adapters_active
from forgetting.models.head import (
    Head,
    causal_model,
    embedding_rows,
    final_states,
    head_of,
    longest_row,
    text_config,
)

_NOT_THE_MODEL = ("_name_or_path", "transformers_version")


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a combination: a model, or a view of one with exactly some of its adapters."""

    coefficient: float
    model: PreTrainedModel | PeftModel
    adapters: tuple[str, ...] = ()

    def states(self, **inputs: Any) -> Tensor:
        """The input of the model's head, `[B, T, D]`."""
        accepted = inspect.signature(causal_model(self.model).forward).parameters
        known = {key: value for key, value in inputs.items() if key in accepted}
        with adapters_active(self.model, self.adapters):
            return final_states(self.model, head_of(self.model), **known)

    @property
    def layers(self) -> int:
        """The number of layers in its cache of keys and values."""
        return int(text_config(self.model).num_hidden_layers)


@dataclass(frozen=True, slots=True)
class CombinedHead(Head):
    """Σ cᵢ·logitsᵢ of concatenated states, `[N, D₁ + D₂ + …]`, cut to `size` logits."""

    parts: tuple[tuple[float, Head, int], ...] = ()
    """Coefficient, head and width D of each."""
    size: int = 0

    def project(self, hidden_ND: Tensor) -> Tensor:
        """The combined logits, fp32 (float64 stays), `[N, V]`."""
        widths = [width for _, _, width in self.parts]
        each = zip(self.parts, hidden_ND.split(widths, dim=-1), strict=True)
        weighted = [factor * head.logits(states_ND)[:, : self.size] for (factor, head, _), states_ND in each]
        return torch.stack(weighted).sum(0) if len(weighted) > 1 else weighted[0]

    def finish(self, projected_NV: Tensor) -> Tensor:
        """The identity: the logits are final."""
        return projected_NV

    def vocabulary(self, hidden_ND: Tensor) -> int:
        """The number of logits per position."""
        return self.size


class ComposedConfig(PretrainedConfig):
    """The config of a combination: coefficients, active adapters, and each model's own config."""

    model_type = "forgetting_composed"


class ComposedModel(PreTrainedModel, GenerationMixin):
    """Σ cᵢ·logitsᵢ of several models with one vocabulary: a `forgetting.models.head.LanguageModel`.

    Parts that share weights share them here too: a base and the base with an adapter are views of one model. All parts
    use one cache of keys and values, the layers of one part after those of another. It is for evaluation, not for
    training or saving. Logits beyond the smallest vocabulary, which some models have as padding, are left out.

    Args:
        parts: at least one; all on one device.

    Raises:
        ModelError: there is no part.
    """

    config_class = ComposedConfig

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            raise ModelError("a combination needs at least one model")
        super().__init__(_config(parts))
        self.parts = tuple(parts)
        self.weights_of_parts = nn.ModuleList(dict.fromkeys(part.model for part in parts))
        self.generation_config = copy.deepcopy(causal_model(parts[0].model).generation_config)
        self._widths: tuple[int, ...] | None = None
        self.eval()

    @property
    def members(self) -> list[nn.Module]:
        """Its distinct models."""
        return list(self.weights_of_parts)

    @torch.no_grad()
    def vocabulary_head(self) -> CombinedHead:
        """The head that maps the concatenated states of all parts to the combined logits."""
        if self._widths is None:
            probe = torch.zeros(1, 1, dtype=torch.long, device=self.device)
            self._widths = tuple(part.states(input_ids=probe, use_cache=False).shape[-1] for part in self.parts)
        heads = [head_of(part.model) for part in self.parts]
        each = list(zip(self.parts, heads, self._widths, strict=True))
        sizes = [width if head.weight_VD is None else head.weight_VD.shape[0] for _, head, width in each]
        return CombinedHead(None, parts=tuple((part.coefficient, head, w) for part, head, w in each), size=min(sizes))

    def final_states(self, past_key_values: Cache | None = None, **inputs: Any) -> Tensor:
        """The concatenated states of all parts, `[B, T, D₁ + D₂ + …]`; a cache grows by T."""
        each = zip(self.parts, self._caches(past_key_values), strict=True)
        return torch.cat([part.states(**inputs, past_key_values=cache) for part, cache in each], dim=-1)

    def _caches(self, cache: Cache | None) -> list[Cache | None]:
        """Splits one cache into one per part; they share their layers with it."""
        if cache is None:
            return [None for _ in self.parts]
        counts = [part.layers for part in self.parts]
        if not cache.layers:
            cache.layers.extend(DynamicLayer() for _ in range(sum(counts)))
        starts = [sum(counts[:i]) for i in range(len(counts))]
        return [Cache(layers=cache.layers[at : at + count]) for at, count in zip(starts, counts, strict=True)]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **unused: Any,
    ) -> CausalLMOutputWithPast:
        """The combined logits of whole rows, `[B, T, V]`."""
        given = {"attention_mask": attention_mask, "position_ids": position_ids}
        given = {name: value for name, value in given.items() if value is not None}
        states_BTD = self.final_states(input_ids=input_ids, use_cache=False, **given)
        logits_NV = self.vocabulary_head().logits(states_BTD.flatten(0, 1))
        return CausalLMOutputWithPast(logits=logits_NV.unflatten(0, tuple(states_BTD.shape[:2])))

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **unused: Any
    ) -> dict[str, Tensor]:
        """Whole rows for every token that `generate` writes, since not every model's cache can be shared.

        Evaluation generates with its own cache (`forgetting.evaluation.cache`).
        """
        mask_BT = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        positions_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)
        return {"input_ids": input_ids, "attention_mask": mask_BT, "position_ids": positions_BT}

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def get_input_embeddings(self) -> nn.Module:
        """Those of the first part."""
        return causal_model(self.parts[0].model).get_input_embeddings()

    def get_output_embeddings(self) -> None:
        """None: its logits do not come from a single matrix."""


def _config(parts: Sequence[Part]) -> ComposedConfig:
    inner = [causal_model(part.model) for part in parts]
    positions = [longest for part in parts if (longest := longest_row(part.model)) is not None]
    first = inner[0].config
    config = ComposedConfig(
        vocab_size=min(embedding_rows(model) for model in inner),
        max_position_embeddings=min(positions) if positions else None,
        bos_token_id=first.bos_token_id,
        eos_token_id=first.eos_token_id,
        pad_token_id=first.pad_token_id,
        combined=[
            {
                "coefficient": part.coefficient,
                "adapters": list(part.adapters),
                "model": {k: v for k, v in model.config.to_dict().items() if k not in _NOT_THE_MODEL},
            }
            for part, model in zip(parts, inner, strict=True)
        ],
    )
    config.dtype = first.dtype
    return config
