"""Tokens that a model gets in addition to its own: in the tokenizer, with a row each in embedding and head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from peft import PeftModel
from tokenizers import AddedToken
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters.export import merged
from forgetting.models.head import embedding_rows
from forgetting.models.loading import LoadedModel, stored_nowhere
from forgetting.models.quantised import has_quantised


def with_new_tokens(loaded: LoadedModel, tokens: Sequence[str]) -> LoadedModel:
    """The model and its tokenizer with these tokens; without change if the tokenizer knows them already.

    They are special tokens: texts that are shown leave them out. A new row is the mean of all others, so that it says
    nothing in particular and is the same every time. Adapters are merged first. Both are changed in place.

    Raises:
        ModelError: the model is a combination of models, or in 4 bits.
    """
    tokenizer = loaded.tokenizer
    new = [token for token in dict.fromkeys(tokens) if token not in tokenizer.get_vocab()]
    if not new:
        return loaded
    if not isinstance(loaded.model, PreTrainedModel | PeftModel) or has_quantised(loaded.model):
        raise ModelError(f"{loaded.source}: new tokens need whole weights of one model; name one that is not in 4 bits")
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in new], special_tokens=True)
    whole = merged(loaded.model)
    _give_rows(whole, [tokenizer.get_vocab()[token] for token in new], len(tokenizer))
    return replace(loaded, model=stored_nowhere(whole).eval(), merged=loaded.merged or loaded.model is not whole)


@torch.no_grad()
def _give_rows(model: PreTrainedModel, ids: Sequence[int], tokens: int) -> None:
    """Fills the rows of these ids; a model that has spare rows is not made larger."""
    matrices = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    known = min(ids)
    means = [m.weight[:known].double().mean(0) for m in matrices]
    if embedding_rows(model) < tokens:
        model.resize_token_embeddings(tokens, mean_resizing=False)
        matrices = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    for matrix, mean in zip(matrices, means, strict=True):
        matrix.weight[list(ids)] = mean.to(matrix.weight)
