"""Export of a trained adapter: as one adapter that PEFT loads on the original base, or merged into the weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.folder import written_whole
from forgetting.models.adapters.active import active_adapters, tuner_layers
from forgetting.models.adapters.curlora import as_one_curlora
from forgetting.models.adapters.curlora_peft import CURLORA
from forgetting.models.adapters.lora import effective_weight, lora_layers, weight_delta
from forgetting.models.adapters.targets import linear_layers, out_in, plain_model
from forgetting.models.adapters.tied import settle_ties, untie_adapted
from forgetting.models.quantised import has_quantised
from forgetting.models.weights import load_weights


def save_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Writes all active adapters as one in PEFT's format, with the tokenizer; the folder is whole or absent.

    `PeftModel.from_pretrained(base, folder)` on the base that the model was loaded from gives this model's outputs:
    adapters are concatenated, B = [B₁, B₂, …] and A = [A₁; A₂; …], so an adapter with its subtracted start becomes a
    LoRA of rank 2r: the first half was trained, the second half is −B₀, A₀. Exact if all have the same alpha / rank,
    otherwise up to the rounding of one factor per B. CURLoRA likewise, see `as_one_curlora`; PEFT knows and loads the
    method once `forgetting.models.adapters` is imported.

    Raises:
        ModelError: the model has no active adapter, or one that is neither a plain LoRA nor CURLoRA.
    """
    names = active_adapters(model)
    if not names:
        raise ModelError(f"{folder}: the model has no active adapter to save; save the model itself")
    if model.peft_type == CURLORA:
        state, config = as_one_curlora(model, names)
    elif _only_plain_lora(model):
        state, config = _as_one_lora(model, names)
    else:
        raise ModelError(
            f"{folder}: only plain LoRA and CURLoRA can be saved as one adapter; merge and save the model instead"
        )
    state = {name: value.cpu().contiguous() for name, value in state.items()}
    config.inference_mode = True
    config.base_model_name_or_path = plain_model(model).name_or_path or None
    with written_whole(Path(folder)) as partial:
        save_file(state, partial / SAFETENSORS_WEIGHTS_NAME, metadata={"format": "pt"})
        config.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


@torch.no_grad()
def merged(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The plain model with its active adapters added to its weights, in place; a plain model is returned unchanged.

    The deltas are summed in fp32 and each weight is rounded once to its own precision: outputs agree to that precision
    (fp32: about 1e-6 of the largest logit).

    Raises:
        ModelError: the base is quantised; a merge would round to its few levels and lose the update.
    """
    if not isinstance(model, PeftModel):
        return model
    quantised = [name for name, layer in linear_layers(model).items() if not _weight(layer).is_floating_point()]
    if quantised:
        raise ModelError(
            f"cannot merge into a quantised base ({quantised[0]}); save the adapter, or merge it into the whole base"
        )
    names = active_adapters(model)
    if not _only_plain_lora(model):
        untie_adapted(plain_model(model))
        whole = model.merge_and_unload(adapter_names=list(names)).requires_grad_(True)
        settle_ties(whole)
        return whole
    for layer in _adapted(model, names).values():
        _weight(layer).copy_(out_in(layer, effective_weight(layer)))
    return model.unload().requires_grad_(True)


@torch.no_grad()
def merged_into_whole(model: PeftModel) -> PreTrainedModel:
    """A quantised model's base, loaded again with whole weights on the CPU, with the active adapters added to them.

    It is not the trained model: that model's base differs by the rounding to 4 bits, which the adapters may have
    learned to compensate in part. The base is loaded from the same source, in the same precision.

    Raises:
        ModelError: the base is missing or quantised itself, or an adapter is not a plain LoRA.
    """
    quantised, names = plain_model(model), active_adapters(model)
    base = quantised.name_or_path
    if not base or not _only_plain_lora(model):
        raise ModelError(f"cannot merge into {base or 'a base without a name'}; save the adapter and load it by PEFT")
    precision = str(quantised.dtype).removeprefix("torch.")
    whole = load_weights(base, precision, getattr(quantised.config, "_commit_hash", None)).eval()
    if has_quantised(whole):
        raise ModelError(f"{base}: quantised as it is stored, so nothing can be merged into it; save the adapter")
    layers = linear_layers(whole)
    for module, adapted in _adapted(model, names).items():
        weight, delta = _weight(layers[module]), weight_delta(adapted, names)
        if delta is not None:
            weight.copy_(weight.float() + out_in(layers[module], delta.to(weight.device)))
    return whole.requires_grad_(True)


def _only_plain_lora(model: PeftModel) -> bool:
    """Whether all adapters add s·B A to matrices of the decoder and nothing else: no DoRA, no bias, no saved module."""
    if any(getattr(config, "modules_to_save", None) for config in model.peft_config.values()):
        return False
    known = {id(layer) for layer in linear_layers(model).values()}
    return all(
        isinstance(layer, LoraLayer)
        and id(layer) in known
        and not layer.lora_variant
        and not any(layer.lora_bias.values())
        for layer in tuner_layers(model)
    )


def _as_one_lora(model: PeftModel, names: Sequence[str]) -> tuple[dict[str, Tensor], PeftConfig]:
    # Usually all have one scaling; otherwise the last one's is used, which leaves the last adapter unrounded.
    scaling = _scaling(model, names[-1])
    adapted = _adapted(model, names)
    state = {
        f"base_model.model.{module}.{part}.weight": matrix
        for module, layer in adapted.items()
        for part, matrix in _side_by_side(model, layer, names, scaling).items()
    }
    config = copy.deepcopy(model.peft_config[names[-1]])
    config.r = sum(model.peft_config[name].r for name in names)
    config.lora_alpha = scaling * config.r
    config.lora_dropout = max(model.peft_config[name].lora_dropout for name in names)
    config.target_modules = sorted(adapted)
    return state, config


def _adapted(model: PeftModel, names: Sequence[str]) -> dict[str, LoraLayer]:
    found = {module: layer for name in names for module, layer in lora_layers(model, name).items()}
    return dict(sorted(found.items()))


def _scaling(model: PeftModel, name: str) -> float:
    return next(iter(lora_layers(model, name).values())).scaling[name]


def _side_by_side(model: PeftModel, layer: LoraLayer, names: Sequence[str], scaling: float) -> dict[str, Tensor]:
    """A and B of all adapters of one layer, concatenated; an adapter that skips this layer is a block of zeros."""
    rows, columns = [], []
    for name in names:
        if name in layer.lora_A:
            rows.append(layer.lora_A[name].weight.detach())
            columns.append(layer.lora_B[name].weight.detach() * (layer.scaling[name] / scaling))
        else:
            like = next(iter(layer.lora_A.values())).weight
            rank = model.peft_config[name].r
            rows.append(like.new_zeros(rank, layer.in_features))
            columns.append(like.new_zeros(layer.out_features, rank))
    return {"lora_A": torch.cat(rows), "lora_B": torch.cat(columns, dim=1)}


def _weight(layer: nn.Module) -> Tensor:
    return cast(Tensor, (layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer).weight)
