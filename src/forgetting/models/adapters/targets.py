"""Which matrices of a model an adapter may change: groups such as `qv` or `ffn`, resolved to exact module names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from forgetting.core.errors import ModelError, nearest

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
        if id(module) in decoder and isinstance(base, (nn.Linear, Conv1D)) and base is not head:
            layers[name] = module
            inside = f"{name}."
    return layers


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
        targets: `all` (every matrix of the decoder), a group of `GROUPS`, or names: each a module's full name or its
            end (`q_proj`, `mlp.c_proj`, `layers.0.self_attn.q_proj`). A single name needs no list.

    Raises:
        ModelError: a name or group matches nothing in this model; the message lists the available names.
    """
    layers = linear_layers(model)
    if targets == "all":
        return tuple(layers)
    if isinstance(targets, str) and targets in GROUPS:
        found = tuple(name for name in layers if part_of(name) in GROUPS[targets])
        if not found:
            raise ModelError(f"targets '{targets}' matches no matrix of {_title(model)}; it has {_endings(layers)}")
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
