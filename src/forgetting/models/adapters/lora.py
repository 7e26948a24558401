"""LoRA by PEFT: adding an adapter to the existing ones, and the update of an adapter to a weight.

Hu et al. 2022, https://arxiv.org/abs/2106.09685: W x + (alpha / rank) · B A x.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters.active import activate, active_adapters
from forgetting.models.adapters.state import adapter_tensors
from forgetting.models.adapters.targets import check_rank, is_conv1d, linear_layers, out_in, resolve_targets
from forgetting.models.quantised import entries, whole_weight


def add_lora(
    model: PreTrainedModel | PeftModel,
    *,
    name: str,
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    targets: str | Sequence[str] = "all",
    seed: int,
) -> PeftModel:
    """Adds the LoRA adapter `name`; only this adapter is trainable.

    It starts as no change (B = 0; A is drawn from `seed`, on the CPU, so the same on every device). Adapters that
    were active before stay active and are frozen.

    Raises:
        ModelError: the name is taken or invalid for an adapter, `targets` matches nothing, `rank` is above all their
            sides, or the model has adapters of another method.
    """
    check_name(model, name)
    check_method(model, "LORA")
    check_rank(model, targets, rank)
    modules = resolve_targets(model, targets)
    layers = linear_layers(model)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(modules),
        fan_in_fan_out=all(is_conv1d(layers[module]) for module in modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    before = active_adapters(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(model, PeftModel):
            model.add_adapter(name, config)
        else:
            model = get_peft_model(model, config, adapter_name=name)
    activate(model, (*before, name))
    train_only(model, name)
    return model


def train_only(model: PeftModel, name: str) -> None:
    """Freezes everything but the LoRA adapter `name`."""
    model.requires_grad_(False)
    for layer in lora_layers(model, name).values():
        layer.lora_A[name].requires_grad_(True)
        layer.lora_B[name].requires_grad_(True)


def adapter_name(stage: str) -> str:
    """The adapter's name for a stage: the stage's name, changed if torch or PEFT refuses it (`train`, `a.b`)."""
    name = stage.replace(".", "-")
    reserved = name in "curlora_" or hasattr(nn.ModuleDict(), name)
    return f"{name}-stage" if reserved else name


def check_name(model: PreTrainedModel | PeftModel, name: str) -> None:
    """Checks that `name` can be the name of a new adapter.

    Raises:
        ModelError: torch or PEFT does not accept it, or an adapter already has it.
    """
    if isinstance(model, PeftModel) and name in model.peft_config:
        raise ModelError(f"the model has an adapter '{name}' already; give the stage another name")
    if name != adapter_name(name):
        raise ModelError(f"'{name}' cannot name an adapter; '{adapter_name(name)}' can")


def check_method(model: PreTrainedModel | PeftModel, method: str) -> None:
    """Checks that an adapter of PEFT's `method` can be added to those of the model.

    Raises:
        ModelError: the model's adapters use another method, and PEFT does not mix methods.
    """
    if isinstance(model, PeftModel) and model.peft_type != method:
        other = str.lower(model.peft_type)
        raise ModelError(
            f"the model has adapters of another kind ({other}), and a {method.lower()} cannot be added to them; "
            "write between: merge for the stage before"
        )


def lora_layers(model: nn.Module, name: str) -> dict[str, LoraLayer]:
    """The layers that the LoRA adapter `name` changes, by their name in the plain model."""
    return {
        module: layer
        for module, layer in linear_layers(model).items()
        if isinstance(layer, LoraLayer) and name in layer.lora_A
    }


def weight_delta(layer: nn.Module, names: Sequence[str]) -> Tensor | None:
    """The update of the LoRA adapters `names` to a layer's weight: the sum of s·B A, fp32 `[out, in]`; None: none."""
    total: Tensor | None = None
    for name in names:
        if isinstance(layer, LoraLayer) and name in layer.lora_A:
            b, a = layer.lora_B[name].weight.float(), layer.lora_A[name].weight.float()
            delta = layer.scaling[name] * (b @ a)
            total = delta if total is None else total + delta
    return total


@torch.no_grad()
def effective_weight(layer: nn.Module) -> Tensor:
    """The effective weight of a layer, active adapters included: fp32 `[out, in]`, a copy."""
    base = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
    weight = out_in(layer, whole_weight(base)).float()
    active = tuple(layer.active_adapters) if isinstance(layer, LoraLayer) else ()
    delta = weight_delta(layer, active)
    return weight.clone() if delta is None else weight + delta


def trainable_share(model: nn.Module) -> float:
    """Trainable parameters as a share of the plain model's, 0 … 1; LoKU's section 4.1 gives it in percent."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    adapters = sum(p.numel() for p in adapter_tensors(model).values() if isinstance(p, nn.Parameter))
    return trainable / (sum(map(entries, model.parameters())) - adapters)
