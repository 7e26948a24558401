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
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError, is_panic
from forgetting.core.limits import endless_pattern
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.models.head import causal_model, text_config

SECONDS = 5.0
"""How long the patterns of an adapter may take on all names of a model's modules."""


_WHOLE = frozenset(("BOOL", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"))
"""Kinds of tensors that are no weights, unless the model is quantised."""
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_BEAMS = 64
"""More than that are a slip."""
_PROBES = ("A question?", "a" * 40 + "!", "1234567890 " * 4, "\n\n — ½ é 漢字")
"""Texts that a tokenizer can be expected to take: its patterns may never end, or fail."""


def check_index(file: Path, *, whole: bool = False) -> None:
    """Checks that an index of weights names safetensors files next to it, and nothing else.

    Args:
        file: the index.
        whole: whether those files must be there already: they are in a folder, and not yet of a hub's model.

    Raises:
        ModelError: it names another file, which would be unpickled or lies elsewhere, or is missing; or it is no index.
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
        if whole and not (file.parent / part).is_file():
            raise ModelError(f"{file.parent}: {part} is missing, which {file.name} names; copy the model again")


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


def check_kinds(files: Iterable[Path], weights: Iterable[str]) -> None:
    """Checks that no weight is stored as whole numbers or truth values, which transformers would take for its values.

    Args:
        files: safetensors files.
        weights: the names of the model's weights; files may leave out or add what stands before them.

    Raises:
        ModelError: one is.
    """
    known = [f".{weight}" for weight in weights]
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                kind = str(opened.get_slice(name).get_dtype())
                if kind in _WHOLE and any(f".{name}".endswith(end) or end.endswith(f".{name}") for end in known):
                    raise ModelError(f"{file}: {name} is stored as {kind}, not as a number with a point; save it again")


def check_runs(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Checks on two tokens that the model can be run and can write, and that it knows its tokenizer's ids.

    Raises:
        ModelError: its configuration does not fit its weights, the tokenizer is another model's or fails, or it cannot
            write with its settings of generation.
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
        for probe in _PROBES:
            tokenizer(probe)
    except BaseException as error:  # whatever a wrong configuration leads to, a panic in Rust too
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise ModelError(f"{name}: the tokenizer cannot be used ({said(error)}); give the model its own") from error
    ids = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    try:
        with torch.no_grad():
            logits_12V = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    except Exception as error:  # whatever a wrong configuration leads to
        raise ModelError(
            f"{name}: the model cannot be run ({said(error)}); its config.json does not fit its weights"
        ) from error
    computed = {**dict(model.named_buffers()), "scores": logits_12V}  # not every kernel of attention passes NaN on
    known = {key: v for key, v in computed.items() if v.dtype in _FLOATS and v.device.type != "meta"}
    wrong = next((key for key, values in known.items() if _is_broken(key, values)), None)
    if wrong is not None:
        raise ModelError(f"{name}: the model's {wrong} are not numbers; its weights or its config.json are damaged")
    _check_writes(name, model)


def _is_broken(key: str, values: torch.Tensor) -> bool:
    """Whether values are no numbers; the frequencies of positions must be finite, where a mask need not."""
    broken = ~torch.isfinite(values) if "inv_freq" in key else torch.isnan(values)
    return bool(broken.any())


def _check_writes(name: str, model: PreTrainedModel) -> None:
    """Writes one token with the model's own settings of generation, which are part of how it answers."""
    file, settings = f"{name}/generation_config.json", causal_model(model).generation_config
    ends = getattr(settings, "eos_token_id", None)
    if not all(type(end) is int for end in (ends if isinstance(ends, list) else [] if ends is None else [ends])):
        raise ModelError(f"{file}: eos_token_id is {ends!r}; write the id of a token, or a list of such")
    beams = getattr(settings, "num_beams", None)
    if beams is not None and (type(beams) is not int or not 1 <= beams <= _BEAMS):
        raise ModelError(f"{file}: num_beams is {beams!r}; write a whole number from 1 to {_BEAMS}")
    if getattr(settings, "max_time", None) is not None:
        raise ModelError(f"{file}: max_time makes answers depend on how fast a machine is; remove it")
    ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    config = GenerationConfig(
        do_sample=False, max_new_tokens=1, pad_token_id=0, output_logits=True, return_dict_in_generate=True
    )
    try:
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)
    except Exception as error:  # whatever its settings lead to
        raise ModelError(f"{file}: the model cannot write with it ({said(error)}); mend it, or remove it") from error
    if bool(torch.isnan(out.logits[0]).any()):
        raise ModelError(f"{name}: the model's scores are not numbers; its weights or its config.json are damaged")


def check_patterns(name: str, config: PeftConfig, model: nn.Module) -> None:
    """Tries the patterns that an adapter names its modules by, as PEFT will, with a limit of time.

    Raises:
        ModelError: a pattern is none, or does not end; or the model lacks a parameter that is named.
    """
    patterns = list(_patterns(config))
    for key, pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ModelError(f"{name}/adapter_config.json: {key} is not a pattern ({error}); write names") from error
    modules = [module for module, _ in model.named_modules()]
    parameters = [parameter.replace(".base_layer", "") for parameter, _ in model.named_parameters()]
    for wanted in getattr(config, "target_parameters", None) or ():
        if not any(f".{parameter}".endswith(f".{wanted}") for parameter in parameters):
            raise ModelError(f"{name}/adapter_config.json: target_parameters: the model has no parameter {wanted}")
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
