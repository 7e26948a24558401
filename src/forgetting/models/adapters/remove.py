"""Removes an adapter: the model's outputs and memory are the same as before the adapter was added."""

from __future__ import annotations

from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.models.adapters.active import activate, active_adapters, known_adapters


def without(model: PreTrainedModel | PeftModel, names: tuple[str, ...]) -> PreTrainedModel | PeftModel:
    """The model without the adapters `names`; the plain model if none is left. Adapters never changed its weights.

    Raises:
        ModelError: the model has no adapter of that name.
    """
    known = known_adapters(model, names)
    if not isinstance(model, PeftModel) or not names:
        return model
    if known == set(names):
        return model.unload()
    left = tuple(name for name in active_adapters(model) if name not in names)
    for name in names:
        model.delete_adapter(name)
    activate(model, left)
    return model
