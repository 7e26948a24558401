"""Models with matrices stored in 4 bits, for LoRA on top (QLoRA).

Dettmers et al. 2023, https://arxiv.org/abs/2305.14314: every 64 weights of a matrix become 16 levels (NormalFloat, nf4)
of their largest absolute value, and those largest values are stored in 8 bits themselves (double quantisation), 4.127
bits per weight in all. Each product restores its matrix first. Uses bitsandbytes through transformers.

The matrices of the decoder are quantised. Head, embeddings, norms and biases stay in the model's precision and are not
converted to fp32: families compute their norms in fp32 anyway, the head's statistics are computed in fp32 chunk by
chunk, and adapters are kept in fp32. To a stage, it is LoRA on other weights.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Literal, cast

import torch
from peft.utils.integrations import dequantize_bnb_weight, dequantize_module_weight
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry, register_flop_formula
from transformers import BitsAndBytesConfig

from forgetting.core.errors import ModelError

Quantise = Literal["nf4"]
"""How matrices are stored."""

_BLOCK = 64
"""Number of weights that share a scale, counted through a matrix row by row."""
_FLOATS = ("auto", "float32", "bfloat16", "float16")


def quantised_loading(name: str, quantise: Quantise, dtype: str, device: str | torch.device | None) -> dict[str, Any]:
    """Arguments of transformers' `from_pretrained` that quantise matrices one by one on their device.

    Raises:
        ModelError: bitsandbytes is missing or too old, or does not support the device or the dtype.
    """
    if quantise != "nf4":
        raise ModelError(f"quantise: '{quantise}' is not known; write nf4")
    if dtype not in _FLOATS:
        raise ModelError(f"{name}: weights in {dtype} cannot be quantised; write bfloat16, float16 or float32")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(f"{name}: 4-bit weights need bitsandbytes, which is missing; pip install 'forgetting[qlora]'")
    place = torch.device("cpu" if device is None else device)
    known = sorted(_bitsandbytes(name).supported_torch_devices)
    if place.type not in known:
        raise ModelError(f"{name}: bitsandbytes has no 4-bit weights on {place.type}; choose one of {', '.join(known)}")
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=quantise, bnb_4bit_use_double_quant=True)
    return {"quantization_config": config, "device_map": {"": place}}


def settle(model: nn.Module, name: str) -> None:
    """Makes a newly loaded model with 4-bit weights compute the same in training and in evaluation.

    - On a processor with AVX512-BF16, bitsandbytes packs weights again at the first evaluation: their scales are
      rounded to bf16 permanently, and no gradient passes through them. That is turned off.
    - Products are computed in the model's precision; transformers' default is fp32.
    - The product is registered with torch's FLOP counters.

    Raises:
        ModelError: no matrix is quantised, or one has rows that are not whole blocks: bitsandbytes 0.50 restores such
            a matrix wrongly, without an error, on processors with AVX512.
    """
    _bitsandbytes(name)
    layers = {label: layer for label, layer in model.named_modules() if is_quantised(layer)}
    if not layers:
        raise ModelError(f"{name}: {type(model).__name__} has no matrix that bitsandbytes can quantise; load it whole")
    for label, layer in layers.items():
        columns = int(cast(Any, layer).in_features)
        if columns % _BLOCK:
            raise ModelError(
                f"{name}: {label} has rows of {columns} weights, not a multiple of {_BLOCK}, which bitsandbytes does "
                "not restore correctly everywhere; load it whole"
            )
        layer.support_avx512bf16_for_cpu = False
        layer.compute_dtype, layer.compute_type_is_set = cast(Any, model).dtype, True
    product = torch.ops.bitsandbytes.gemm_4bit
    if product not in flop_registry:
        register_flop_formula(product)(_product_flops)


def is_quantised(layer: nn.Module) -> bool:
    """Whether a layer's weight is stored in 4 bits."""
    return _in_four_bits(getattr(layer, "weight", None))


def has_quantised(model: nn.Module) -> bool:
    """Whether a model, with adapters or not, has 4-bit weights."""
    return any(is_quantised(layer) for layer in model.modules())


def whole_weight(layer: nn.Module) -> Tensor:
    """A layer's weight as used in products: as stored, or restored from 4 bits; `[out, in]` if it is in 4 bits."""
    # A 4-bit parameter is read directly, since PEFT's function would replace it on a CPU.
    return dequantize_bnb_weight(cast(Any, layer.weight)) if is_quantised(layer) else dequantize_module_weight(layer)


def entries(parameter: nn.Parameter) -> int:
    """The number of weights in a parameter: two per byte in 4 bits."""
    return int(cast(Any, parameter).quant_state.shape.numel()) if _in_four_bits(parameter) else parameter.numel()


def weight_bytes(model: nn.Module) -> int:
    """Bytes of all weights, including the scales of 4-bit matrices; tied weights are counted once."""
    tensors = [t for p in model.parameters() for t in (p, *_scales(p))]
    return sum(t.numel() * t.element_size() for t in tensors)


def quantised_words(model: nn.Module) -> str:
    """One line for the user: what is in 4 bits and what is not."""
    layers = [layer for layer in model.modules() if is_quantised(layer)]
    quantised = sum(entries(cast(nn.Parameter, layer.weight)) for layer in layers)
    total = sum(map(entries, model.parameters()))
    precision = str(cast(Any, model).dtype).removeprefix("torch.")
    return (
        f"{len(layers)} matrices ({quantised / total:.0%} of {total:,} weights) in 4 bits (nf4, double quantisation); "
        f"head, embeddings, norms and biases stay {precision}: {weight_bytes(model) / 2**20:,.1f} MiB of weights"
    )


def _in_four_bits(parameter: object) -> bool:
    return type(parameter).__name__ == "Params4bit"  # by name, so that nothing is imported for other models


def _scales(parameter: nn.Parameter) -> list[Tensor]:
    if not _in_four_bits(parameter):
        return []
    state = cast(Any, parameter).quant_state
    inner = [] if state.state2 is None else [state.state2.absmax, state.state2.code]
    return [state.absmax, state.code, *inner]


def _product_flops(a_shape: Any, b_shape: Any, shape: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """2·m·k·n for x `[m, k]` by W `[n, k]`, stored as a column of bytes."""
    rows = 1
    for size in a_shape[:-1]:
        rows *= size
    return int(2 * rows * shape[0] * shape[1])


def _bitsandbytes(name: str) -> Any:
    import bitsandbytes

    if not hasattr(torch.ops.bitsandbytes, "gemm_4bit"):
        raise ModelError(f"{name}: bitsandbytes {bitsandbytes.__version__} is too old; pip install 'forgetting[qlora]'")
    return bitsandbytes
