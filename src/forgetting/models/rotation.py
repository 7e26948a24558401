"""Rotary frequencies that follow a forward's length, taken for each sequence by its own length.

Two kinds of rotation choose their frequencies by the longest position of a forward: `longrope` (Ding et al. 2024,
https://arxiv.org/abs/2402.13753: one set of factors up to the original length, one beyond it) and dynamic NTK (one set
per length beyond it). transformers computes them once for the whole batch, and dynamic NTK keeps those of an earlier,
longer batch. So a row's value would depend on its neighbours and on what ran before. Here every sequence is turned as
it would be alone in a fresh model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_FOLLOWING = ("longrope", "dynamic")


def _kinds(module: nn.Module) -> dict[str | None, str]:
    """The kinds of rotation of a module, by layer type where it has several."""
    kind = getattr(module, "rope_type", None)
    if isinstance(kind, dict):
        return {layer: str(one) for layer, one in kind.items()}
    return {} if kind is None else {None: str(kind)}


def _follows(kind: str) -> bool:
    return any(name in kind for name in _FOLLOWING)


def following(model: nn.Module) -> list[nn.Module]:
    """The modules of a model that choose frequencies by the length of a forward."""
    return [m for m in model.modules() if any(_follows(kind) for kind in _kinds(m).values())]


def sequence_lengths(attention_mask_BT: Tensor, position_ids_BT: Tensor | None) -> Tensor:
    """The length of the sequence that each token belongs to, `[B, T]`.

    Args:
        attention_mask_BT: 1 for tokens, 0 for padding on the right.
        position_ids_BT: of packed rows: positions that restart at each sequence; the mask is then not read.
    """
    if position_ids_BT is None:
        return attention_mask_BT.sum(1, keepdim=True).expand_as(attention_mask_BT)
    segments_BT = (position_ids_BT == 0).cumsum(1)
    longest_BS = torch.zeros_like(segments_BT[:, :1]).expand(-1, segments_BT.shape[1] + 1).clone()
    longest_BS.scatter_reduce_(1, segments_BT, position_ids_BT + 1, "amax")
    return longest_BS.gather(1, segments_BT)


@contextmanager
def by_sequence(model: nn.Module, lengths_BT: Tensor) -> Iterator[None]:
    """A forward inside turns each sequence by its own length.

    Args:
        lengths_BT: the length of the sequence that each token belongs to: see `sequence_lengths`.
    """
    with ExitStack() as hooks:
        for module in following(model):
            handle = module.register_forward_hook(
                lambda module, args, inputs, output: _by_sequence(module, args, inputs, output, lengths_BT),
                with_kwargs=True,
            )
            hooks.callback(forget_lengths, module)
            hooks.callback(handle.remove)
        yield


def _by_sequence(module: nn.Module, args: Any, inputs: dict[str, Any], output: Any, lengths_BT: Tensor) -> Any:
    """Cosines and sines of a rotary module, each `[B, T, D]`, with every sequence's own frequencies."""
    layer = inputs.get("layer_type", args[2] if len(args) > 2 else None)
    kind = _kinds(module).get(layer, "")
    if not _follows(kind):
        return output
    positions_BT = inputs["position_ids"] if "position_ids" in inputs else args[1]
    x = inputs["x"] if "x" in inputs else args[0]
    lengths_BT = lengths_BT.to(positions_BT.device)
    positions_BT = torch.minimum(positions_BT, (lengths_BT - 1).clamp(min=0))  # padding lies behind a sequence's end
    until = _original_length(module, layer)
    beyond = lengths_BT.clamp(min=until) if kind != "longrope" else (lengths_BT > until).long()
    parts: tuple[Tensor, ...] = ()
    for value in beyond.unique().tolist():
        inside_BT = beyond == value
        forget_lengths(module)
        turned = type(module).forward(
            module, x, torch.where(inside_BT, positions_BT, 0), **({} if layer is None else {"layer_type": layer})
        )
        chosen = inside_BT[..., None]
        parts = tuple(torch.where(chosen, new, old) for new, old in zip(turned, parts or turned, strict=True))
    return parts


def _original_length(module: nn.Module, layer: str | None) -> int:
    config: Any = module.config
    parameters = config.rope_parameters if layer is None else config.rope_parameters[layer]
    return int(parameters.get("original_max_position_embeddings") or config.max_position_embeddings)


@torch.no_grad()
def forget_lengths(module: nn.Module) -> None:
    """Gives a rotary module the frequencies that it began with: dynamic NTK keeps those of the longest forward."""
    for layer, kind in _kinds(module).items():
        if "dynamic" not in kind:
            continue
        prefix = "" if layer is None else f"{layer}_"
        original: Tensor = getattr(module, f"{prefix}original_inv_freq")
        now: Tensor = getattr(module, f"{prefix}inv_freq")
        module.register_buffer(f"{prefix}inv_freq", original.to(now.device).clone(), persistent=False)
        setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
