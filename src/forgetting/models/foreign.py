"""Checks of models that others made: only safetensors are read, nothing runs without end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePath

import torch
from peft import PeftConfig
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.limits import endless_pattern
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.models.head import text_config

SECONDS = 5.0
"""How long the patterns of an adapter may take on all names of a model's modules."""


def check_index(file: Path) -> None:
    """Checks that an index of weights names safetensors files next to it, and nothing else.

    Raises:
        ModelError: it names another file, which would be unpickled or lies elsewhere; or it is no index.
    """
    try:
        parts = read_json(file.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file}: not an index of weights; download the model again") from error
    for part in dict.fromkeys(map(str, parts)):
        if not part.endswith(".safetensors") or PurePath(part).name != part:
            raise ModelError(
                f"{file}: names '{part}'; only *.safetensors in the same folder are read, pickled weights are not"
            )


def check_generation(file: Path) -> None:
    """Checks that settings of generation can be read; transformers goes on without them, and so without their ends.

    Raises:
        ModelError: they are no JSON object.
    """
    try:
        settings = read_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not JSON ({said(error)}); download the model again") from error
    if not isinstance(settings, dict):
        raise ModelError(f"{file}: not the settings of a model's generation; download the model again")


def check_layers(name: str, layers: object, files: Iterable[Path]) -> None:
    """Checks that a configuration asks for no more layers than its weights can fill, before they are built.

    Raises:
        ModelError: a number of layers that is none, or more than there are tensors.
    """
    if not isinstance(layers, int) or layers < 1:
        raise ModelError(f"{name}/config.json: the number of layers is {layers}; write the model's own")
    try:
        tensors = sum(len(tensor_names(file)) for file in files)
    except ModelError:
        return  # whoever reads the weights says so
    if layers > max(tensors, 1):
        raise ModelError(
            f"{name}/config.json: asks for {layers:,} layers, but there are {tensors:,} tensors of weights"
        )


def tensor_names(file: Path) -> list[str]:
    """The names of the tensors in a safetensors file.

    Raises:
        ModelError: it is not one, or not whole.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except Exception as error:  # the library's errors share no base
        raise ModelError(f"{file}: not a whole safetensors file ({error}); download it again") from error


def check_runs(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Checks on two tokens that the model can be run, and that it knows its tokenizer's ids.

    Raises:
        ModelError: its configuration does not fit its weights, or the tokenizer is another model's.
    """
    positions = getattr(text_config(model), "max_position_embeddings", None)
    if positions in (0, 1):
        raise ModelError(f"{name}/config.json: the model has {positions} positions; write its own number")
    for key, value in text_config(model).to_dict().items():
        is_part = isinstance(value, int | float) and not isinstance(value, bool)
        if key.endswith(("dropout", "drop")) and is_part and not 0 <= value < 1:
            raise ModelError(f"{name}/config.json: {key} is {value}; write a part from 0 to below 1")
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise ModelError(
            f"{name}: the tokenizer has {tokenizer.vocab_size:,} tokens and the model {rows:,} embeddings; give the "
            "model its own tokenizer"
        )
    try:
        tokenizer("A question?")
    except Exception as error:  # whatever a wrong configuration leads to
        raise ModelError(f"{name}: the tokenizer cannot be used ({said(error)}); give the model its own") from error
    ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    try:
        with torch.no_grad():
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
    except Exception as error:  # whatever a wrong configuration leads to
        raise ModelError(
            f"{name}: the model cannot be run ({said(error)}); its config.json does not fit its weights"
        ) from error


def check_patterns(name: str, config: PeftConfig, model: nn.Module) -> None:
    """Tries the patterns that an adapter names its modules by, as PEFT will, with a limit of time.

    Raises:
        ModelError: a pattern is none, or does not end.
    """
    patterns = list(_patterns(config))
    for key, pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ModelError(f"{name}/adapter_config.json: {key} is not a pattern ({error}); write names") from error
    modules = [module for module, _ in model.named_modules()]
    late = endless_pattern([pattern for _, pattern in patterns], modules, SECONDS)
    if late is not None:
        key = patterns[late][0]
        raise ModelError(
            f"{name}/adapter_config.json: the pattern in {key} does not end within {SECONDS:g} s; write names"
        )


def _patterns(config: PeftConfig) -> Iterable[tuple[str, str]]:
    """Key and regular expression of all that PEFT matches with the names of modules."""
    for key in ("target_modules", "exclude_modules"):
        if isinstance(value := getattr(config, key, None), str):
            yield key, value
    layers = getattr(config, "layers_pattern", None)
    for pattern in [layers] if isinstance(layers, str) else layers or ():
        yield "layers_pattern", rf".*\.{pattern}\.(\d+)\..*"
    for key in ("rank_pattern", "alpha_pattern"):
        value = getattr(config, key, None)
        for pattern in value if isinstance(value, dict) else ():
            yield key, rf"(.*\.)?({pattern})"
