"""CURLoRA on a model: adding an adapter to the existing ones, and combining several."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters.active import activate, active_adapters
from forgetting.models.adapters.curlora_peft import CURLORA, CurLoraConfig, CurLoraLinear, Factors
from forgetting.models.adapters.lora import check_method, check_name
from forgetting.models.adapters.spec import Drawing
from forgetting.models.adapters.targets import linear_layers, out_in, resolve_targets


def add_curlora(
    model: PreTrainedModel | PeftModel,
    *,
    name: str,
    rank: int,
    drawing: Drawing = "without_replacement",
    targets: str | Sequence[str] = "all",
    seed: int,
) -> PeftModel:
    """Adds the CURLoRA adapter `name`; only its U is trainable.

    It starts as no change (U = 0). C and R come from the base's weights, independently of active adapters; those stay
    active and are frozen.

    Raises:
        ModelError: the name is taken or invalid for an adapter, `targets` matches nothing, a matrix has fewer columns
            or rows than `rank`, or the model has adapters of another method.
    """
    check_name(model, name)
    check_method(model, CURLORA)
    modules = resolve_targets(model, targets)
    _check_rank(linear_layers(model), modules, rank)
    config = CurLoraConfig(r=rank, target_modules=list(modules), drawing=drawing, seed=seed, task_type="CAUSAL_LM")
    before = active_adapters(model)
    if isinstance(model, PeftModel):
        model.add_adapter(name, config)
    else:
        model = get_peft_model(model, config, adapter_name=name)
    activate(model, (*before, name))
    model.requires_grad_(False)
    for factors in curlora_factors(model, name).values():
        factors.requires_grad_(True)
    return model


def curlora_factors(model: nn.Module, name: str) -> dict[str, Factors]:
    """C, U and R of the adapter `name`, by the name of their matrix in the plain model."""
    return {
        module: layer.factors(name)
        for module, layer in linear_layers(model).items()
        if isinstance(layer, CurLoraLinear) and name in layer.curlora_factors
    }


def as_one_curlora(model: PeftModel, names: Sequence[str]) -> tuple[dict[str, Tensor], CurLoraConfig]:
    """The adapters `names` as one in PEFT's format: its weights by their names in the file, and its configuration.

    C = [C₁, C₂, …], R = [R₁; R₂; …] and U with U₁, U₂, … along its diagonal: exactly the same sum of C·U·R. If an
    adapter does not change a matrix, its block is zero.
    """
    by_adapter = [curlora_factors(model, name) for name in names]
    ranks = [model.peft_config[name].r for name in names]
    state: dict[str, Tensor] = {}
    for module in sorted({module for factors in by_adapter for module in factors}):
        parts = _side_by_side([factors.get(module) for factors in by_adapter], ranks)
        state |= {f"base_model.model.{module}.curlora_factors.{part}": value for part, value in parts.items()}
    config = copy.deepcopy(model.peft_config[names[-1]])
    config.r = sum(ranks)
    config.target_modules = sorted({module for factors in by_adapter for module in factors})
    return state, config


def _side_by_side(adapters: Sequence[Factors | None], ranks: Sequence[int]) -> dict[str, Tensor]:
    like = next(adapter for adapter in adapters if adapter is not None)
    columns, rows, blocks = [], [], []
    for adapter, rank in zip(adapters, ranks, strict=True):
        if adapter is None:
            columns.append(like.C.new_zeros(like.C.shape[0], rank))
            rows.append(like.R.new_zeros(rank, like.R.shape[1]))
            blocks.append(like.U.new_zeros(rank, rank))
        else:
            columns.append(adapter.C)
            rows.append(adapter.R)
            blocks.append(adapter.U.detach())
    return {"C": torch.cat(columns, dim=1), "R": torch.cat(rows), "U": torch.block_diag(*blocks)}


def _check_rank(layers: dict[str, nn.Module], modules: Sequence[str], rank: int) -> None:
    """Runs before anything is wrapped, so that the model is unchanged if the rank is refused."""
    for module in modules:
        rows, columns = out_in(layers[module], layers[module].weight).shape  # type: ignore[arg-type]
        if rank > min(rows, columns):
            raise ModelError(f"{module}: {rows} rows, {columns} columns, too few for rank {rank}; lower adapter.rank")
