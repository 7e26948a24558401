"""Where a model's own weights are stored, and whether they still are what is stored there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from forgetting.core.errors import ModelError
from forgetting.models.adapters.targets import linear_layers, plain_model
from forgetting.models.quantised import is_quantised

_HALVES = (torch.bfloat16, torch.float16)
_ROWS = 3
"""Rows of each matrix that are compared: first, middle and last. Training and merging change them all."""


def base_place(model: PreTrainedModel | PeftModel) -> tuple[str | None, str | None]:
    """The absolute folder, or the hub id and commit, that the model's own weights came from; None for neither."""
    plain = plain_model(model)
    name = plain.name_or_path
    if not name:
        return None, None
    if Path(name).is_dir():
        return str(Path(name).resolve()), None
    return name, getattr(plain.config, "_commit_hash", None)


@torch.no_grad()
def check_as_stored(model: PreTrainedModel | PeftModel, what: str | Path) -> None:
    """Checks that the weights below the model's adapters are those stored where it came from.

    Some rows of every matrix of the decoder are compared, unless it is in 4 bits or stored in another arrangement.

    Raises:
        ModelError: they are not: an adapter of this model would be loaded on other weights than it was trained on.
    """
    place, revision = base_place(model)
    if place is None:
        return
    stored = dict(_files(place, revision))
    for name, layer in linear_layers(model).items():
        own = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        weight = cast(Tensor, own.weight)
        there = None if is_quantised(own) else _rows(stored, f"{name}.weight", tuple(weight.shape))
        if there is None:
            continue
        rows, values = there
        mine = weight[rows].cpu()
        # Weights may have been loaded in 16 bits and widened since.
        if not any(torch.equal(mine, values.to(once).to(mine.dtype)) for once in (mine.dtype, *_HALVES)):
            raise ModelError(
                f"{what}: an adapter of {place} would not give this model back, whose own weights are others "
                f"({name}): they were trained or merged since it was loaded; save the merged model (merge=True)"
            )


def _rows(stored: Mapping[str, Path], name: str, shape: tuple[int, ...]) -> tuple[list[int], Tensor] | None:
    """The numbers of some rows of a stored matrix, and the rows; None if it is not stored in this shape."""
    key = name if name in stored else next((k for k in stored if name.endswith(f".{k}")), None)
    if key is None:
        return None
    with safe_open(str(stored[key]), framework="pt") as file:
        part = file.get_slice(key)
        if tuple(part.get_shape()) != shape or part.get_dtype() not in ("F64", "F32", "F16", "BF16"):
            return None
        rows = sorted({round(i * (shape[0] - 1) / (_ROWS - 1)) for i in range(_ROWS)})
        return rows, torch.cat([part[row : row + 1] for row in rows])


def _files(place: str, revision: str | None) -> Iterator[tuple[str, Path]]:
    """Every stored tensor's name with its file; nothing if the files are not here any more."""
    found: list[Path] = []
    if Path(place).is_dir():
        found = sorted(Path(place).glob("*.safetensors"))
    else:
        for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME):
            lenient = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
            file = cached_file(place, name, revision=revision, local_files_only=True, **lenient)
            found += [] if file is None else sorted(Path(file).parent.glob("*.safetensors"))
    for file in found:
        try:
            with safe_open(str(file), framework="pt") as tensors:
                yield from ((name, file) for name in list(tensors.keys()))
        except (OSError, SafetensorError):
            continue
