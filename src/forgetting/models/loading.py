"""Loads models and tokenizers from a local folder or the hub, and saves them to a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file, find_adapter_config_file

from forgetting.core.errors import ModelError, nearest
from forgetting.core.folder import written_whole
from forgetting.models.adapters.export import merged
from forgetting.models.quantised import Quantise, has_quantised
from forgetting.models.weights import DTYPES, attempt, check_as_written, load_weights, sibling


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: str
    """The folder or hub id it came from."""
    revision: str | None
    pad_id: int
    """The id that pads rows: the tokenizer's pad token, else its end token. Masks do not depend on it."""
    merged_base: str | None = None
    """The base model, if the source is an adapter that was merged into it."""


def load_model(
    source: str | Path,
    *,
    dtype: str = "auto",
    revision: str | None = None,
    device: str | torch.device | None = None,
    quantise: Quantise | None = None,
) -> LoadedModel:
    """Loads a causal language model with its tokenizer from a folder or the hub; an adapter is merged into its base.

    Only safetensors are read and no code of the model's repository is run. The tokenizer and the embeddings are not
    changed: a missing pad token is not added.

    Args:
        dtype: one of `DTYPES`; `auto`: as the weights are stored.
        device: where to put the model; None: the CPU.
        quantise: `nf4`: the decoder's matrices in 4 bits, head, embeddings and norms as they are; see
            `forgetting.models.quantised`.

    Raises:
        ModelError: the model, its weights, its tokenizer or its base are missing or cannot be used.
    """
    if dtype not in DTYPES:
        raise ModelError(f"dtype '{dtype}' is not known; {nearest(dtype, DTYPES)}")
    name = str(Path(source).expanduser() if str(source).startswith("~") else source)
    _check_folder(name)
    check_as_written(name)
    adapter = attempt(name, "model", find_adapter_config_file, name, revision=revision)
    base = None
    if adapter is not None:
        if quantise is not None:
            raise ModelError(f"{name}: an adapter cannot be merged into 4-bit weights; give a merged model")
        model, tokenizer, base = _load_adapter(name, dtype, revision)
        model = model if device is None else model.to(device)
    else:
        model = load_weights(name, dtype, revision, device=device, quantise=quantise)
        tokenizer = load_tokenizer(name, revision)
    model.eval()
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=name,
        revision=revision,
        pad_id=_pad_id(name, tokenizer, model),
        merged_base=base,
    )


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Writes weights (safetensors), config and tokenizer with its chat template; the folder is whole or absent.

    Raises:
        ModelError: the model has adapters, which would be left out, or weights in 4 bits.
    """
    if isinstance(model, PeftModel):
        raise ModelError(f"{folder}: the model has adapters; save them as an adapter, or merge them first")
    if has_quantised(model):
        raise ModelError(f"{folder}: weights in 4 bits are not saved; save the adapter, or merge it into its base")
    with written_whole(Path(folder)) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def _check_folder(name: str) -> None:
    path = Path(name)
    if path.is_dir():
        if not any((path / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise ModelError(f"{name}: no config.json in this folder; give a folder that holds a model")
        if not any(path.glob("*.safetensors")):
            raise ModelError(
                f"{name}: no *.safetensors in this folder; pickled weights are not read, convert them first"
            )
        return
    if path.is_file():
        raise ModelError(f"{name}: a file, not a model folder; give the folder that it is in")
    if name.startswith((".", "/")) or name.count("/") > 1 or not name:
        raise ModelError(f"{name}: no such model folder; {sibling(path)}")


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id.

    Raises:
        ModelError: there is none, or it needs its own code.
    """
    return attempt(name, "tokenizer", AutoTokenizer.from_pretrained, name, revision=revision, trust_remote_code=False)


def _load_adapter(name: str, dtype: str, revision: str | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """An adapter's base with the adapter merged in, the tokenizer of the adapter or the base, and the base's name."""
    if _optional_file(name, SAFETENSORS_WEIGHTS_NAME, revision) is None:
        raise ModelError(f"{name}: no {SAFETENSORS_WEIGHTS_NAME}; only safetensors are read, convert the adapter")
    config = attempt(name, "adapter", PeftConfig.from_pretrained, name, revision=revision)
    base_name = config.base_model_name_or_path
    if not base_name:
        raise ModelError(f"{name}/adapter_config.json: base_model_name_or_path is empty; write the base model there")
    try:
        base = load_model(base_name, dtype=dtype, revision=config.revision)
    except ModelError as error:
        raise ModelError(f"{name}: its base model cannot be loaded: {error}") from error
    model = merged(attempt(name, "adapter", PeftModel.from_pretrained, base.model, name, revision=revision))
    # Adapters trained from here on belong to the merged model, not to the base alone.
    model.name_or_path = model.config._name_or_path = name
    has_tokenizer = _optional_file(name, "tokenizer_config.json", revision) is not None
    return model, load_tokenizer(name, revision) if has_tokenizer else base.tokenizer, base_name


def _optional_file(name: str, file: str, revision: str | None) -> str | None:
    return attempt(
        name, "model", cached_file, name, file, revision=revision, _raise_exceptions_for_missing_entries=False
    )


def _pad_id(name: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    rows = model.get_input_embeddings().weight.shape[0]
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if end is not None and end >= rows:
        raise ModelError(
            f"{name}: the end token's id {end} is beyond the model's {rows} embeddings; is the tokenizer its own?"
        )
    usable = [token for token in (pad, end) if token is not None and token < rows]
    if not usable:
        raise ModelError(f"{name}: the tokenizer has no pad and no end token; set eos_token in tokenizer_config.json")
    return usable[0]
