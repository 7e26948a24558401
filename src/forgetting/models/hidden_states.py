"""The outputs of decoder blocks in a forward pass: kept, for terms over hidden states, or put in from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.head import causal_model, text_config


def decoder_blocks(model: nn.Module, layers: Sequence[int]) -> dict[int, nn.Module]:
    """The decoder blocks with these numbers, from 0; without numbers, nothing is searched.

    Raises:
        RecipeError: the model has no block with such a number.
        ModelError: it has no list of modules as long as the number of layers in its config.
    """
    if not layers:
        return {}
    inner = causal_model(model)
    count = getattr(text_config(model), "num_hidden_layers", None)
    lists = (m for m in inner.get_decoder().modules() if isinstance(m, nn.ModuleList) and len(m) == count)
    blocks = next(lists, None)
    if blocks is None or count is None:
        raise ModelError(
            f"the decoder blocks of a {inner.config.model_type} model cannot be found; "
            "choose a method without hidden states"
        )
    wrong = [layer for layer in layers if not 0 <= layer < count]
    if wrong:
        raise RecipeError(
            f"layer {wrong[0]}: the model has {count} decoder blocks; write a layer from 0 to {count - 1}"
        )
    return {layer: blocks[layer] for layer in layers}


@contextmanager
def states_kept(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Fills a dictionary, by layer, with each block's output in the forward pass inside: `[B*T, D]`, with its graph.

    A block's output is the residual stream after it; for the last block, before the final norm.
    """
    kept: dict[int, Tensor] = {}

    def keep(layer: int, output: Any) -> None:
        states_BTD: Tensor = output[0] if isinstance(output, tuple) else output
        kept[layer] = states_BTD.flatten(0, 1)

    with ExitStack() as hooks:
        for layer, block in decoder_blocks(model, layers).items():
            handle = block.register_forward_hook(lambda module, args, output, layer=layer: keep(layer, output))
            hooks.callback(handle.remove)
        yield kept


@contextmanager
def states_put_in(model: nn.Module, layer: int, sources_N: Tensor, states_ND: Tensor) -> Iterator[None]:
    """In the forward pass inside, the block's output at these positions is `states_ND`; elsewhere it is its own.

    Args:
        model: a decoder.
        layer: the block's number, from 0.
        sources_N: positions in the flattened batch, see `core.batch.Batch.sources_N`.
        states_ND: of another model of the same shape.
    """

    def put_in(block: nn.Module, args: Any, output: Any) -> Any:
        own_BTD: Tensor = output[0] if isinstance(output, tuple) else output
        put_BTD = own_BTD.flatten(0, 1).index_copy(0, sources_N.to(own_BTD.device), states_ND.to(own_BTD))
        put_BTD = put_BTD.view_as(own_BTD)
        return (put_BTD, *output[1:]) if isinstance(output, tuple) else put_BTD

    handle = decoder_blocks(model, [layer])[layer].register_forward_hook(put_in)
    try:
        yield
    finally:
        handle.remove()
