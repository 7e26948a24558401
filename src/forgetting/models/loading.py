"""Loads models and tokenizers from a local folder or the hub, and saves them to a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from peft.utils import load_peft_weights
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import GENERATION_CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME

from forgetting.core.errors import ModelError
from forgetting.core.folder import written_whole
from forgetting.data.tokens import limit_ids
from forgetting.models.adapters.active import activate, active_adapters
from forgetting.models.adapters.chain import Chain, Link, chain_of, optional_file
from forgetting.models.adapters.export import merged
from forgetting.models.adapters.saved import add_link
from forgetting.models.adapters.tied import rows_of_tokens, saved_rows
from forgetting.models.foreign import check_generation, check_index, check_layers, check_runs
from forgetting.models.head import embedding_rows, text_config, text_part
from forgetting.models.places import attempt, check_as_written, check_place
from forgetting.models.precision import Precision, settled, stored_dtype
from forgetting.models.quantised import Quantise, has_quantised
from forgetting.models.weights import check_finite, load_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer."""

    model: PreTrainedModel
    """With PEFT's wrapper if the source is an adapter: it is active, and its base's weights are as stored."""
    tokenizer: PreTrainedTokenizerBase
    source: str
    """The folder or hub id it came from."""
    revision: str | None
    pad_id: int
    """The id that pads rows: the tokenizer's pad token, else its end token. Masks do not depend on it."""
    precision: Precision
    """What its weights were loaded in, and why."""
    base: str | None = None
    """The whole model at the bottom, if the source is an adapter."""
    merged: bool = False
    """Whether an adapter was merged into the weights, which are then stored nowhere: it is more than a plain LoRA."""

    def __post_init__(self) -> None:
        limit_ids(self.tokenizer, embedding_rows(self.model))


def load_model(
    source: str | Path,
    *,
    dtype: str = "auto",
    revision: str | None = None,
    device: str | torch.device | None = None,
    quantise: Quantise | None = None,
    trains_all: bool = False,
) -> LoadedModel:
    """Loads a causal language model with its tokenizer from a folder or the hub.

    An adapter is loaded on its base, frozen and active, and so is one whose base is an adapter itself: what is trained
    on top of it can be saved as one adapter of the whole model at the bottom. One that is more than a plain LoRA or
    CURLoRA (DoRA, biases, whole modules, …) is merged into the base's weights.

    Only safetensors are read and no code of the model's repository is run. The tokenizer and the embeddings are not
    changed: a missing pad token is not added.

    Args:
        dtype: a key of `forgetting.models.precision.DTYPES`; `auto`: see `settled` there.
        device: where to put the model; None: the CPU.
        quantise: `nf4`: the decoder's matrices in 4 bits, head, embeddings and norms as they are; see
            `forgetting.models.quantised`.
        trains_all: whether all weights will be trained, which `auto` makes fp32 for.

    Raises:
        ModelError: the model, its weights, its tokenizer or its base are missing or cannot be used.
    """
    name = _expanded(source)
    check_place(name, revision)
    chain = chain_of(name, revision)
    model, precision = _whole(chain, dtype, device, quantise, trains_all=trains_all)
    merges = not chain.stackable
    tokenizer = tokenizer_of(chain)
    for number, link in enumerate(chain.links):
        below, own = active_adapters(model), f"given-{number}"
        if merges:
            model = merged(model)
            _add_rows(model, link, len(tokenizer))
        model = add_link(model, link, name=own)
        activate(model, (own,) if merges else (*below, own))
    if merges:
        model = _merged(model, name)
    if chain.links:
        check_finite(model, name)
    model.eval()
    check_runs(name, model, tokenizer)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=name,
        revision=revision,
        pad_id=_pad_id(name, tokenizer, model),
        precision=precision,
        base=chain.base if chain.links else None,
        merged=merges,
    )


def _expanded(source: str | Path) -> str:
    try:
        return str(Path(source).expanduser() if str(source).startswith("~") else source)
    except RuntimeError as error:
        raise ModelError(f"{source}: there is no such home folder; give a model folder or a hub id") from error


def _whole(
    chain: Chain, dtype: str, device: str | torch.device | None, quantise: Quantise | None, *, trains_all: bool
) -> tuple[PreTrainedModel | PeftModel, Precision]:
    """The model at the bottom of a chain of adapters, and its precision."""
    top = chain.links[-1].place if chain.links else None
    if not chain.base:
        lowest = chain.links[0].place
        raise ModelError(f"{lowest}/adapter_config.json: base_model_name_or_path is empty; write the base model there")
    if quantise is not None and not chain.stackable:
        raise ModelError(f"{top}: this adapter cannot be merged into 4-bit weights; give a merged model")
    try:
        check_as_written(chain.base)
        _check_files(chain.base, chain.revision)
        stored = stored_dtype(chain.base, chain.revision)
        precision = settled(dtype, stored, device=device, trains_all=trains_all)
        model = load_weights(chain.base, precision.dtype, chain.revision, device=device, quantise=quantise)
        return model, precision
    except ModelError as error:
        if top is None:
            raise
        raise ModelError(f"{top}: its base model cannot be loaded: {error}") from error


def _check_files(name: str, revision: str | None) -> None:
    """Checks a whole model's index and configurations before its weights are read."""
    index = optional_file(name, SAFE_WEIGHTS_INDEX_NAME, revision)
    if index is not None:
        check_index(Path(index), whole=Path(name).is_dir())
    generation = optional_file(name, GENERATION_CONFIG_NAME, revision)
    if generation is not None:
        check_generation(Path(generation))
    if Path(name).is_dir():
        config = attempt(name, "model", AutoConfig.from_pretrained, name, trust_remote_code=False)
        layers = getattr(text_part(config), "num_hidden_layers", 1)
        check_layers(name, layers, sorted(Path(name).glob("*.safetensors")))


def _add_rows(model: PreTrainedModel, link: Link, tokens: int) -> None:
    """Gives a model the rows of tokens that were added before an adapter was trained on it."""
    state = attempt(link.place, "adapter", load_peft_weights, link.place, device="cpu", revision=link.revision)
    rows = attempt(link.place, "adapter", saved_rows, state, model) or attempt(
        link.place, "adapter", rows_of_tokens, link.config, model, tokens
    )
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)


def _merged(model: PreTrainedModel | PeftModel, name: str) -> PreTrainedModel:
    try:
        whole = merged(model)
    except (AttributeError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: this kind of adapter cannot be merged into its base ({error})") from error
    return stored_nowhere(whole)


def stored_nowhere(model: PreTrainedModel) -> PreTrainedModel:
    """The model, without the name of a folder or hub id that its weights are no longer those of."""
    model.name_or_path = model.config._name_or_path = ""
    return model


def tokenizer_of(chain: Chain) -> PreTrainedTokenizerBase:
    """The tokenizer of the topmost adapter that has one, else the whole model's."""
    for link in reversed(chain.links):
        if optional_file(link.place, "tokenizer_config.json", link.revision) is not None:
            return load_tokenizer(link.place, link.revision)
    return load_tokenizer(chain.base, chain.revision)


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


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id.

    Raises:
        ModelError: there is none, or it needs its own code.
    """
    return attempt(name, "tokenizer", AutoTokenizer.from_pretrained, name, revision=revision, trust_remote_code=False)


def _pad_id(name: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    rows = embedding_rows(model)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if end is not None and end >= rows:
        raise ModelError(
            f"{name}: the end token's id {end} is beyond the model's {rows} embeddings; is the tokenizer its own?"
        )
    _check_own(name, tokenizer, model)
    usable = [token for token in (pad, end) if token is not None and token < rows]
    if not usable:
        raise ModelError(f"{name}: the tokenizer has no pad and no end token; set eos_token in tokenizer_config.json")
    return usable[0]


def _check_own(name: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Checks that the tokenizer knows the tokens with which the model ends a text: another model's may not."""
    said = getattr(text_config(model), "eos_token_id", None)
    known = set(tokenizer.get_vocab().values())
    for end in said if isinstance(said, list) else [said]:
        if end is not None and end not in known and end < embedding_rows(model):
            raise ModelError(
                f"{name}: the model ends texts with token {end}, which the tokenizer, of {len(tokenizer):,} tokens, "
                "does not have; give the model its own tokenizer, or correct eos_token_id in config.json"
            )
