"""Trains the embedding rows of single tokens alone, by PEFT's trainable tokens: all other weights stay to the bit."""

from __future__ import annotations

from collections.abc import Sequence

from peft import PeftModel, TrainableTokensConfig, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError, nearest


def add_rows(
    model: PreTrainedModel, *, name: str, tokens: Sequence[str], tokenizer: PreTrainedTokenizerBase | None
) -> PeftModel:
    """The model with the rows of these tokens trainable, in the embedding and in a head that is tied to it.

    A head that is a matrix of its own is left as it is.

    Raises:
        ModelError: the tokenizer does not know a token.
    """
    known = {} if tokenizer is None else tokenizer.get_vocab()
    for token in tokens:
        if token not in known:
            raise ModelError(
                f"adapter.tokens: the tokenizer has no token '{token}'; {nearest(token, known)}, or write "
                f"new_tokens: ['{token}'] in the recipe"
            )
    config = TrainableTokensConfig(token_indices=sorted(known[token] for token in tokens))
    return get_peft_model(model, config, adapter_name=f"{name}-rows")  # PEFT refuses names such as "token"
