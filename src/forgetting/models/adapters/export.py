"""Export of a trained adapter: as one adapter that PEFT loads on the original base, or merged into the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.folder import written_whole
from forgetting.models.adapters.active import activate, active_adapters, tuner_layers
from forgetting.models.adapters.base_weights import base_place, check_as_stored
from forgetting.models.adapters.chain import is_plain_config
from forgetting.models.adapters.curlora import as_one_curlora
from forgetting.models.adapters.curlora_peft import CURLORA
from forgetting.models.adapters.lora import effective_weight, lora_layers, weight_delta
from forgetting.models.adapters.remove import without
from forgetting.models.adapters.state import adapter_tensors
from forgetting.models.adapters.targets import linear_layers, out_in, plain_model
from forgetting.models.adapters.tied import settle_ties, untie_adapted
from forgetting.models.quantised import has_quantised
from forgetting.models.weights import load_weights


def save_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Writes all active adapters as one in PEFT's format, with the tokenizer; the folder is whole or absent.

    `PeftModel.from_pretrained(base, folder)` on the whole model that the weights were loaded from gives this model's
    outputs, and so does PEFT's `AutoPeftModelForCausalLM.from_pretrained(folder)`: the base is written as an absolute
    path or a hub id with its commit. Adapters are concatenated, B = [B₁, B₂, …] and A = [A₁; A₂; …], so an adapter with
    its subtracted start becomes a LoRA of rank 2r: the first half was trained, the second half is −B₀, A₀. Exact if
    all have the same scaling, otherwise up to the rounding of one factor per B. CURLoRA likewise, see `as_one_curlora`;
    PEFT knows and loads the method once `forgetting.models.adapters` is imported.

    Raises:
        ModelError: the model has no active adapter, or one that is neither a plain LoRA nor CURLoRA; or its own
            weights are not those stored at its base, so that the adapter would bring back what those had lost.
    """
    names = active_adapters(model)
    if not names:
        raise ModelError(f"{folder}: the model has no active adapter to save; save the model itself")
    check_as_stored(model, folder)
    state, config = _as_one(model, names, folder)
    state = {name: value.cpu().contiguous() for name, value in state.items()}
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)  # a set's order changes from process to process
    config.base_model_name_or_path, config.revision = base_place(model)
    with written_whole(Path(folder)) as partial:
        save_file(state, partial / SAFETENSORS_WEIGHTS_NAME, metadata={"format": "pt"})
        config.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


@torch.no_grad()
def joined(model: PreTrainedModel | PeftModel) -> PreTrainedModel | PeftModel:
    """The model with its active adapters replaced by the one that `save_adapter` writes of them.

    What is measured afterwards is what is loaded later, to the last bit: in 16 bits, two adapters are rounded twice
    and their sum once. A model with one plain adapter is returned as it is.
    """
    names = active_adapters(model)
    if not isinstance(model, PeftModel) or (len(names) < 2 and not _has_patterns(model, names)):
        return model
    state, config = _as_one(model, names, "the adapters")
    config.inference_mode = True
    name = "joined"
    while name in model.peft_config:
        name += "-"
    model.add_adapter(name, config)
    own = adapter_tensors(model)
    for key, value in state.items():
        layer, part, *rest = _split(key)
        own[".".join([layer, part, name, *rest])].copy_(value)
    activate(model, (name,))
    return without(model, names)


def _has_patterns(model: PeftModel, names: Sequence[str]) -> bool:
    """Whether an adapter has different ranks or scalings, which its saved form has not."""
    configs = [model.peft_config[name] for name in names]
    return any(getattr(config, key, None) for config in configs for key in ("rank_pattern", "alpha_pattern"))


def _split(key: str) -> tuple[str, ...]:
    """A tensor's name in PEFT's file, as its layer, the part of the layer that holds adapters, and the rest."""
    words = key.split(".")
    at = next(i for i, word in enumerate(words) if word in ("lora_A", "lora_B", "curlora_factors"))
    return ".".join(words[:at]), words[at], *words[at + 1 :]


def _as_one(model: PeftModel, names: Sequence[str], what: str | Path) -> tuple[dict[str, Tensor], PeftConfig]:
    if model.peft_type == CURLORA:
        return as_one_curlora(model, names)
    if _only_plain_lora(model):
        return _as_one_lora(model, names)
    raise ModelError(f"{what}: only plain LoRA and CURLoRA can be saved as one adapter; merge and save the model")


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
    if not all(is_plain_config(config) for config in model.peft_config.values()):
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
    """All adapters as one with one rank and one scaling, whatever the patterns of ranks and scalings they had.

    A matrix with a lower rank than others has zeros in the rest. Usually all have one scaling; otherwise the last
    adapter's usual one is taken, and differences go into B.
    """
    adapted = _adapted(model, names)
    scaling = _usual_scaling(adapted.values(), names[-1])
    factors = {module: _side_by_side(layer, names, scaling) for module, layer in adapted.items()}
    rank = max(len(a_rD) for a_rD, _ in factors.values())
    state = {}
    for module, (a_rD, b_Dr) in factors.items():
        missing = rank - len(a_rD)
        state[f"base_model.model.{module}.lora_A.weight"] = nn.functional.pad(a_rD, (0, 0, 0, missing))
        state[f"base_model.model.{module}.lora_B.weight"] = nn.functional.pad(b_Dr, (0, missing))
    last = model.peft_config[names[-1]]
    config = LoraConfig(
        r=rank,
        lora_alpha=scaling * rank,
        lora_dropout=max(model.peft_config[name].lora_dropout for name in names),
        target_modules=sorted(adapted),
        fan_in_fan_out=last.fan_in_fan_out,
        task_type="CAUSAL_LM",
    )
    return state, config


def _adapted(model: PeftModel, names: Sequence[str]) -> dict[str, LoraLayer]:
    found = {module: layer for name in names for module, layer in lora_layers(model, name).items()}
    return dict(sorted(found.items()))


def _usual_scaling(layers: Iterable[LoraLayer], name: str) -> float:
    return Counter(layer.scaling[name] for layer in layers if name in layer.lora_A).most_common(1)[0][0]


def _side_by_side(layer: LoraLayer, names: Sequence[str], scaling: float) -> tuple[Tensor, Tensor]:
    """A `[r, in]` and B `[out, r]` of all adapters of one layer, concatenated."""
    own = [name for name in names if name in layer.lora_A]
    rows = [layer.lora_A[name].weight.detach() for name in own]
    columns = [layer.lora_B[name].weight.detach() * (layer.scaling[name] / scaling) for name in own]
    return torch.cat(rows), torch.cat(columns, dim=1)


def _weight(layer: nn.Module) -> Tensor:
    return cast(Tensor, (layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer).weight)
