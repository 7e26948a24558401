"""The entry point: prepares a model for training as an `AdapterSpec` says."""

from __future__ import annotations

from collections.abc import Mapping

from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.models.adapters.curlora import add_curlora
from forgetting.models.adapters.export import merged
from forgetting.models.adapters.lora import adapter_name, add_lora
from forgetting.models.adapters.rows import add_rows
from forgetting.models.adapters.spec import AdapterSpec
from forgetting.models.adapters.start import add_start, initialise
from forgetting.models.adapters.state import load_state
from forgetting.models.quantised import has_quantised


def attach(
    model: PreTrainedModel | PeftModel,
    spec: AdapterSpec,
    *,
    name: str,
    seed: int,
    prepared: Mapping[str, Tensor] | None = None,
    state: Mapping[str, Tensor] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> PreTrainedModel | PeftModel:
    """The model with the weights of `spec` trainable and all others frozen; its outputs are unchanged.

    `full`: adapters of earlier stages are merged into the weights first. `lora`, `qlora`: a new adapter, named after
    the stage (see `adapter_name`), on top of those that are active; its initialisation may add a second, frozen one.
    `curlora`: likewise. `rows`: adapters of earlier stages are merged first, as for `full`.

    Args:
        name: the stage's.
        seed: of the random start of A, of the initialisation, of CURLoRA's drawing.
        prepared: what the initialisation computed from its data, by module: `forgetting.training.preparation`.
        state: the output of `adapter_state` or, for `full`, `trainable_state` when the stage was saved: the weights
            are loaded instead of initialised, and nothing needs to be prepared.
        tokenizer: the model's; only `rows` asks it.

    Raises:
        ModelError: the targets match nothing, the name is taken, the initialisation's data were not prepared, or the
            kind does not fit the model's weights (4 bits for `qlora`, not for `full` and `curlora`) or its adapters.
        RunError: `state` belongs to another adapter.
    """
    _check_kind(model, spec)
    if spec.kind == "full":
        model = merged(model).requires_grad_(True)
    elif spec.kind == "rows":
        model = add_rows(merged(model), name=adapter_name(name), tokens=spec.tokens, tokenizer=tokenizer)
    elif spec.kind == "curlora":
        model = add_curlora(
            model, name=adapter_name(name), rank=spec.rank, drawing=spec.drawing, targets=spec.targets, seed=seed
        )
    else:
        model = add_lora(
            model,
            name=(adapter := adapter_name(name)),
            rank=spec.rank,
            alpha=spec.scaled_alpha,
            dropout=spec.dropout,
            targets=spec.targets,
            seed=seed,
        )
        if state is None:
            initialise(model, adapter, spec.init, prepared or {}, seed=seed)
        elif spec.init.subtract:
            add_start(model, adapter)
    if state is not None:
        load_state(model, state)
    return model


def _check_kind(model: PreTrainedModel | PeftModel, spec: AdapterSpec) -> None:
    if spec.kind in ("full", "rows") and has_quantised(model):
        raise ModelError(
            "weights in 4 bits cannot be trained themselves; write adapter.kind: qlora, or load whole ones"
        )
    if spec.kind == "curlora" and has_quantised(model):
        raise ModelError(
            "CURLoRA takes columns and rows of whole weights, not of 4 bits; write kind: qlora, or load whole ones"
        )
    if spec.kind == "qlora" and not has_quantised(model):
        raise ModelError("adapter.kind: qlora, but the model is not in 4 bits; load it with quantise='nf4'")
