"""Which rows of the attention projections belong to which head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters.targets import linear_layers, part_of
from forgetting.models.head import text_config
from forgetting.training.fisher import shape_of

_TOGETHER = ("query_key_value",)
"""Fused matrices whose rows are q, k and v of one head after another; in the others all of q comes before all of k."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of an attention, by the model's config."""

    count: int
    groups: int
    """Heads of keys and values, each shared by `count / groups` query heads."""
    width: int
    """Rows of one head: the config's `head_dim`, which hidden size / heads need not be."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> Heads:
        """Those of a model.

        Raises:
            ModelError: the config does not say how many there are.
        """
        config = text_config(model)
        count = getattr(config, "num_attention_heads", None)
        if not count:
            raise ModelError(f"the config of a {config.model_type} model names no attention heads")
        groups = getattr(config, "num_key_value_heads", None) or count
        width = getattr(config, "head_dim", None) or config.hidden_size // count
        return cls(int(count), int(groups), int(width))


@dataclass(frozen=True, slots=True)
class Slices:
    """Where the rows of a projection are, one entry for each query head: those of its group for keys and values."""

    layer: int
    module: str
    part: str
    """`q`, `k` or `v`."""
    rows_H: tuple[slice, ...]


def slices(model: PreTrainedModel) -> list[Slices]:
    """Every attention projection of the decoder, fused ones unpacked.

    Raises:
        ModelError: there are none, or one has another number of rows than its heads take.
    """
    heads, layers = Heads.of(model), linear_layers(model)
    found = [one for number, name, part in _projections(layers) for one in _of(heads, layers[name], number, name, part)]
    if not found:
        raise ModelError(f"the attention projections of a {text_config(model).model_type} model are not found")
    return found


def _projections(layers: Mapping[str, nn.Module]) -> Iterator[tuple[int, str, str]]:
    for name in layers:
        part = part_of(name)
        number = next((int(piece) for piece in name.split(".") if piece.isdigit()), None)
        if part in ("q", "k", "v", "qkv") and number is not None:
            yield number, name, part


def _of(heads: Heads, module: nn.Module, layer: int, name: str, part: str) -> list[Slices]:
    rows = shape_of(module)[0]
    of_query, of_group = heads.count * heads.width, heads.groups * heads.width
    if part != "qkv":
        expected = of_query if part == "q" else of_group
        _check(name, rows, expected)
        return [Slices(layer, name, part, tuple(_rows(heads, part, 0)))]
    _check(name, rows, of_query + 2 * of_group)
    if name.endswith(_TOGETHER) and heads.groups == heads.count:
        return [
            Slices(
                layer,
                name,
                p,
                tuple(slice((3 * h + i) * heads.width, (3 * h + i + 1) * heads.width) for h in range(heads.count)),
            )
            for i, p in enumerate("qkv")
        ]
    starts = {"q": 0, "k": of_query, "v": of_query + of_group}
    return [Slices(layer, name, p, tuple(_rows(heads, p, start))) for p, start in starts.items()]


def _rows(heads: Heads, part: str, start: int) -> Iterator[slice]:
    shared = 1 if part == "q" else heads.count // heads.groups
    for head in range(heads.count):
        first = start + (head // shared) * heads.width
        yield slice(first, first + heads.width)


def _check(name: str, rows: int, expected: int) -> None:
    if rows != expected:
        raise ModelError(
            f"{name} has {rows} rows, and the heads of its config take {expected}; its heads cannot be told"
        )


def medians(values_LH: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """Median and quartiles of the heads of each layer."""
    quarters = np.percentile(values_LH, [25, 50, 75], axis=1)
    low, middle, high = ([float(v) for v in row] for row in quarters)
    return middle, low, high
