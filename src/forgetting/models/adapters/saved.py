"""Loads an adapter from a folder onto a model in memory, without a second copy of the weights."""

from __future__ import annotations

from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters.active import activate, active_adapters
from forgetting.models.adapters.lora import check_name
from forgetting.models.weights import check_as_written


def is_adapter(folder: str | Path) -> bool:
    """Whether the folder holds an adapter and not a whole model."""
    return (Path(folder) / "adapter_config.json").is_file()


def add_saved(model: PreTrainedModel | PeftModel, folder: str | Path, *, name: str) -> PeftModel:
    """The model with the adapter of `folder` added as `name`, frozen and not active; its outputs are unchanged.

    Raises:
        ModelError: the name is taken, or the adapter cannot be read or does not fit this model.
    """
    check_name(model, name)
    check_as_written(folder)
    before = active_adapters(model)
    try:
        if isinstance(model, PeftModel):
            model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
            adapted = model
        else:
            adapted = PeftModel.from_pretrained(model, str(folder), adapter_name=name, is_trainable=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{folder}: this adapter cannot be put on the model ({reason}); give one of its own"
        ) from error
    activate(adapted, before)
    return adapted
