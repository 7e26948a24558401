"""Which matrices of a model an adapter may change: groups such as `qv` or `ffn`, resolved to exact module names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from forgetting.core.errors import ModelError, nearest
from forgetting.models.quantised import entries

GROUPS: dict[str, frozenset[str]] = {
    "qv": frozenset({"q", "v", "qkv"}),
    "qkvo": frozenset({"q", "k", "v", "qkv", "o"}),
    "ffn": frozenset({"ffn"}),
    "qvffn": frozenset({"q", "v", "qkv", "ffn"}),
}
"""The parts of a layer in each group. A fused query-key-value matrix is included whole if q or v is."""

_PARTS: dict[str, str] = {
    **dict.fromkeys(("q_proj", "query", "q"), "q"),
    **dict.fromkeys(("k_proj", "key", "k"), "k"),
    **dict.fromkeys(("v_proj", "value", "v"), "v"),
    **dict.fromkeys(("c_attn", "query_key_value", "qkv_proj", "Wqkv", "qkv", "W_pack", "att_proj"), "qkv"),
    **dict.fromkeys(("o_proj", "out_proj", "wo", "attn_out"), "o"),
    **dict.fromkeys(("gate_proj", "up_proj", "down_proj", "gate_up_proj", "fc1", "fc2", "fc_in", "fc_out"), "ffn"),
    **dict.fromkeys(("c_fc", "dense_h_to_4h", "dense_4h_to_h", "w1", "w2", "w3", "ff_proj", "ff_out"), "ffn"),
}
_ATTENTION, _FEED_FORWARD = ("attn", "attention"), ("mlp", "ffn", "feed_forward")


def linear_layers(model: PreTrainedModel | PeftModel) -> dict[str, nn.Module]:
    """The matrices of the text decoder by their name in the plain model, without head and embeddings.

    A layer with an adapter is PEFT's wrapper; its output includes the active adapters.
    """
    plain = plain_model(model)
    head = plain.get_output_embeddings()
    decoder = set(map(id, plain.get_decoder().modules()))
    layers: dict[str, nn.Module] = {}
    inside = ""
    for name, module in plain.named_modules():
        if inside and name.startswith(inside):
            continue
        base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if id(module) in decoder and _multiplies(base) and base is not head:
            layers[name] = module
            inside = f"{name}."
    return layers


@torch.no_grad()
def _multiplies(base: nn.Module) -> bool:
    """Whether a layer is a matrix to which an adapter can add: a router of experts may look like a linear layer."""
    if isinstance(base, Conv1D) or not isinstance(base, nn.Linear):
        return isinstance(base, Conv1D)
    if type(base).forward is nn.Linear.forward or not type(base).__module__.startswith("transformers.models."):
        return True
    x = torch.ones(1, base.in_features, dtype=base.weight.dtype, device=base.weight.device)
    try:
        found = base(x)
    except (RuntimeError, ValueError, TypeError):
        return False
    return isinstance(found, Tensor) and torch.allclose(found, nn.functional.linear(x, base.weight, base.bias))


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the decoder an adapter is on: counts of the weights of its matrices, without head and embeddings."""

    adapted: int
    total: int
    out_of_reach: tuple[str, ...]
    """Ends of the names of the matrices that no adapter can be put on."""
    beyond: int
    """Their weights."""

    def __str__(self) -> str:
        names = ", ".join(self.out_of_reach)
        return (
            f"the adapter is on {self.adapted / self.total:.1%} of the decoder's matrix weights; it cannot be put on "
            f"{names} ({self.beyond / self.total:.1%})"
        )


def coverage(model: PreTrainedModel | PeftModel, modules: Sequence[str]) -> Coverage:
    """How much of the decoder's matrices these modules are: experts of a mixture may be fused tensors, not layers."""
    weights = {name: _base(layer).weight for name, layer in linear_layers(model).items()}
    beyond = other_matrices(model)
    adapted = sum(entries(weights[name]) for name in modules)
    left = sum(map(entries, beyond.values()))
    total = sum(map(entries, weights.values())) + left
    return Coverage(adapted, total, tuple(_endings(beyond).split(", ")) if beyond else (), left)


def other_matrices(model: PreTrainedModel | PeftModel) -> dict[str, nn.Parameter]:
    """The matrices of the text decoder that are no layers of their own, by name: fused experts `[E, …]`, routers, …"""
    plain = plain_model(model)
    head: Any = plain.get_output_embeddings()
    apart = {id(p) for m in plain.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    apart |= set() if head is None else {id(p) for p in head.parameters()}
    apart |= {id(p) for layer in linear_layers(model).values() for p in layer.parameters()}
    apart |= {id(p) for m in plain.modules() if isinstance(m, BaseTunerLayer) for p in m.parameters()}
    inside = {id(p) for p in plain.get_decoder().parameters()}
    return {
        name.removesuffix(".weight"): p
        for name, p in plain.named_parameters()
        if p.dim() > 1 and id(p) in inside and id(p) not in apart and not name.endswith("bias")
    }


def _base(layer: Any) -> Any:
    return layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer


def plain_model(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The transformers model inside, including PEFT's layers if there are adapters."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def is_conv1d(layer: nn.Module) -> bool:
    """Whether the weight is stored `[in, out]`, as GPT-2 does."""
    return isinstance(layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer, Conv1D)


def out_in(layer: nn.Module, weight: Tensor) -> Tensor:
    """A weight of `layer` as `[out, in]`, independently of how the layer stores it."""
    return weight.T if is_conv1d(layer) else weight


def part_of(name: str) -> str | None:
    """Which part of a transformer layer a module is: q, k, v, qkv, o, ffn, or None if its name does not tell."""
    *parents, leaf = name.split(".")
    parent = parents[-1].lower() if parents else ""
    if leaf in ("c_proj", "dense", "proj"):  # the output of attention or of the feed-forward: the parent tells
        if any(word in parent for word in _FEED_FORWARD):
            return "ffn"
        return "o" if any(word in parent for word in _ATTENTION) else None
    return _PARTS.get(leaf)


def resolve_targets(model: PreTrainedModel | PeftModel, targets: str | Sequence[str]) -> tuple[str, ...]:
    """The exact names of the modules that match `targets` in this model, in the model's order.

    Args:
        targets: `all` (every linear layer of the decoder; `coverage` says what else it has), a group of `GROUPS`, or
            names: each a module's full name or its end (`q_proj`, `mlp.c_proj`, `layers.0.self_attn.q_proj`). A single
            name needs no list.

    Raises:
        ModelError: a name or group matches nothing in this model; the message lists the available names.
    """
    layers = linear_layers(model)
    if targets == "all":
        return tuple(layers)
    if isinstance(targets, str) and targets in GROUPS:
        found = tuple(name for name in layers if part_of(name) in GROUPS[targets])
        if not found:
            fused = coverage(model, ()).out_of_reach
            why = f" (an adapter cannot be put on {', '.join(fused)})" if fused else ""
            raise ModelError(
                f"targets '{targets}' matches no matrix of {_title(model)}{why}; it has {_endings(layers)}"
            )
        return found
    wanted = [targets] if isinstance(targets, str) else list(targets)
    if not wanted:
        raise ModelError(f"targets is empty; write all, {', '.join(GROUPS)} or names from {_endings(layers)}")
    for target in wanted:
        if not any(_fits(name, target) for name in layers):
            known = {*GROUPS, "all", *(name.rsplit(".", 1)[-1] for name in layers)}
            hint = nearest(target, known)
            hint = f"{hint} " if hint.startswith("did") else ""
            raise ModelError(
                f"targets: {_title(model)} has no matrix '{target}' that an adapter may change (the head "
                f"cannot have one); {hint}it has {_endings(layers)}"
            )
    return tuple(name for name in layers if any(_fits(name, target) for target in wanted))


def check_rank(model: PreTrainedModel | PeftModel, targets: str | Sequence[str], rank: int) -> None:
    """Checks that a rank is no larger than all sides of all matrices it is for, where it has no meaning.

    Raises:
        ModelError: it is larger, or `targets` matches nothing.
    """
    layers = linear_layers(model)
    largest = max(side for name in resolve_targets(model, targets) for side in _sides(layers[name]))
    if rank > largest:
        raise ModelError(
            f"adapter.rank is {rank:,}, but the largest side of the targets in {_title(model)} is {largest:,}; write "
            "a smaller rank"
        )


def _sides(layer: nn.Module) -> Sequence[int]:
    """Rows and columns, also of a matrix that is stored in 4 bits."""
    base = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
    return base.weight.shape if isinstance(base, Conv1D) else (base.in_features, base.out_features)  # type: ignore


def _fits(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _endings(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(".".join(name.rsplit(".", 2)[-2:]) for name in names))


def _title(model: PreTrainedModel | PeftModel) -> str:
    return type(plain_model(model)).__name__
