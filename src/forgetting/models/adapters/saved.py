"""Adds an adapter of a folder to a model in memory, without a second copy of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import load_peft_weights
from torch import nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters.active import activate, active_adapters, tuner_layers
from forgetting.models.adapters.chain import Chain, Link, chain_of
from forgetting.models.adapters.lora import check_name
from forgetting.models.foreign import check_patterns
from forgetting.models.places import check_as_written


def add_saved(
    model: PreTrainedModel | PeftModel, folder: str | Path, *, name: str
) -> tuple[PeftModel, tuple[str, ...]]:
    """The model with the adapter of `folder` added, frozen and not active; its outputs are unchanged.

    Args:
        model: the whole model that the adapter lies on, perhaps with other adapters.
        folder: of an adapter, or of one whose base is an adapter itself: then all of them are added.
        name: of the adapter in the model.

    Returns:
        The model, and the names that are active together where the adapter is in use.

    Raises:
        ModelError: the name is taken, or the adapter cannot be read, stacked, or does not fit this model.
    """
    chain = chain_of(str(folder))
    if not chain.stackable:
        raise ModelError(
            f"{folder}: this adapter is more than a plain LoRA or CURLoRA, so it cannot be put beside others; merge it "
            "into its base and give the whole model"
        )
    return add_chain(model, chain, name=name)


def add_chain(model: PreTrainedModel | PeftModel, chain: Chain, *, name: str) -> tuple[PeftModel, tuple[str, ...]]:
    """`add_saved` for adapters that are known already."""
    names = tuple(name if link is chain.links[-1] else f"{name}-below-{n}" for n, link in enumerate(chain.links))
    for link, one in zip(chain.links, names, strict=True):
        model = add_link(model, link, name=one)
    assert isinstance(model, PeftModel), "a chain has an adapter"
    return model, names


def add_link(model: PreTrainedModel | PeftModel, link: Link, *, name: str) -> PeftModel:
    """The model with one adapter added as `name`, frozen, without dropout and not active.

    PEFT fills what a file lacks with fresh numbers and leaves out what the model lacks, so both are looked for here.

    Raises:
        ModelError: the name is taken, or some of the adapter's tensors have no place in this model, or the reverse;
            or a pattern of its configuration does not end.
    """
    check_name(model, name)
    if isinstance(model, PeftModel) and model.peft_type != link.kind:
        raise ModelError(
            f"{link.place}: this adapter cannot be put on the model (a {link.kind.lower()} beside adapters of another "
            f"kind, {str.lower(model.peft_type)}); give one of its own"
        )
    check_patterns(link.place, link.config, model)
    check_as_written(link.place)
    before = active_adapters(model)
    at = {} if link.revision is None else {"revision": link.revision}
    try:
        if not isinstance(model, PeftModel):
            config = type(link.config).from_pretrained(link.place, **at)
            config.inference_mode = True
            model = get_peft_model(model, config, adapter_name=name)
        result = model.load_adapter(link.place, adapter_name=name, is_trainable=False, **at)
    except Exception as error:  # whatever a wrong configuration leads to
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{link.place}: this adapter cannot be put on the model ({reason}); give one of its own"
        ) from error
    # PEFT counts those of another adapter too if its name begins like this one's.
    missing = [key for key in result.missing_keys if name in key.split(".")]
    strays = _strays(model, link, missing, result.unexpected_keys)
    if strays:
        kept = _tensors(model, name) - len([key for key in strays if key in missing])
        raise ModelError(
            f"{link.place}: only {kept} of {kept + len(strays)} tensors of this adapter and of the model fit each "
            f"other, {strays[0]} does not; give an adapter of this model ({link.config.base_model_name_or_path})"
        )
    for layer in tuner_layers(model):
        if isinstance(layer, LoraLayer) and name in layer.lora_dropout:
            layer.lora_dropout[name] = nn.Identity()
    activate(model, before)
    return model


def _strays(model: PeftModel, link: Link, missing: Sequence[str], unexpected: Sequence[str]) -> list[str]:
    """What is in one of file and model only; a tied tensor has two names in a model, and PEFT may save one twice."""
    if not missing and not unexpected:
        return []
    places = model.state_dict(keep_vars=True)
    filled = {id(value) for name, value in places.items() if name not in missing}
    lacking = [name for name in missing if id(places.get(name)) not in filled]
    state = load_peft_weights(
        link.place, device="cpu", **({} if link.revision is None else {"revision": link.revision})
    )
    taken = [value for key, value in state.items() if key not in unexpected and _is_copied(key)]
    copies = [key for key in unexpected if _is_copied(key) and any(torch.equal(state[key], value) for value in taken)]
    return lacking + [key for key in unexpected if key not in copies]


def _is_copied(key: str) -> bool:
    """Whether PEFT may save a tensor under two names: an embedding or a head, whole or its trained tokens."""
    return key.endswith(("weight", "trainable_tokens_delta")) and ".lora_" not in key


def _tensors(model: PeftModel, name: str) -> int:
    """How many tensors the adapter `name` has in the model."""
    inside = {id(held[name]): held[name] for layer in tuner_layers(model) for held in _holders(layer) if name in held}
    return sum(1 if isinstance(one, nn.Parameter) else len(one.state_dict()) for one in inside.values())


def _holders(layer: object) -> list[nn.ModuleDict | nn.ParameterDict]:
    return [getattr(layer, kind) for kind in layer.adapter_layer_names]  # type: ignore[attr-defined]
