"""A matrix that is both embedding and head, where an adapter changes one of the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError


@torch.no_grad()
def untie_adapted(plain: PreTrainedModel) -> None:
    """Gives the head a matrix of its own if an adapter is on it or on the embedding that it is tied to.

    Unmerged, such an adapter changes one of the two. Merged into the one matrix, it would change both. One that trains
    rows of the one matrix changes both as it is, and they stay tied.
    """
    head, embedding = plain.get_output_embeddings(), plain.get_input_embeddings()
    if isinstance(head, TrainableTokensLayer) and head.tied_adapter is embedding:
        return
    if not any(isinstance(module, BaseTunerLayer) for module in (head, embedding)):
        return
    head, embedding = _base(head), _base(embedding)
    if head is not None and head.weight is embedding.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)


def settle_ties(plain: PreTrainedModel) -> None:
    """Makes the config say whether head and embedding are one matrix; else a saved model would be tied again."""
    head: Any = plain.get_output_embeddings()
    embedding: Any = plain.get_input_embeddings()
    if head is None or head.weight is embedding.weight:
        return
    for config in (plain.config, plain.config.get_text_config(decoder=True)):
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False


def saved_rows(state: Mapping[str, Tensor], plain: PreTrainedModel) -> int | None:
    """How many rows an adapter's own copy of the embedding has, if not as many as the model; else None.

    Args:
        state: the adapter's tensors as PEFT saves them.
        plain: the model that it is to be put on.

    Raises:
        ModelError: it has rows for added tokens, but none in a head that is a matrix of its own.
    """
    embedding, head = plain.get_input_embeddings(), plain.get_output_embeddings()
    rows = _rows(state, plain, embedding)
    if rows in (None, embedding.weight.shape[0]):
        return None
    if head is not None and head.weight is not embedding.weight and _rows(state, plain, head) != rows:
        raise ModelError(
            f"it was trained with an embedding of {rows:,} rows, but holds no head for the added tokens; save it by "
            "PEFT with save_embedding_layers=True"
        )
    return rows


def _rows(state: Mapping[str, Tensor], plain: PreTrainedModel, module: nn.Module) -> int | None:
    name = next(name for name, one in plain.named_modules() if one is module)
    kinds = ("weight", "base_layer.weight", "modules_to_save.weight")
    return next((len(state[key]) for kind in kinds if (key := f"base_model.model.{name}.{kind}") in state), None)


def rows_of_tokens(config: PeftConfig, plain: PreTrainedModel, tokens: int) -> int | None:
    """`tokens` if the adapter trains single tokens that the model has no rows for, and they suffice; else None."""
    trained: Any = getattr(config, "trainable_token_indices", None) or []
    indices = [i for some in trained.values() for i in some] if isinstance(trained, dict) else trained
    last = max(indices, default=-1)
    return tokens if plain.get_input_embeddings().weight.shape[0] <= last < tokens else None


def _base(module: Any) -> Any:
    return module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
