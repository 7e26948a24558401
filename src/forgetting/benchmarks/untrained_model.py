"""A small untrained model with a tokenizer for your own text: to try a recipe with before the real model is at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from forgetting.core.errors import ModelError
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.models.loading import save_model

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def blank_model(
    folder: Path, text: Sequence[Path], *, hidden: int = 192, layers: int = 4, vocabulary: int = 4096, seed: int = 0
) -> None:
    """Writes an untrained Llama (heads of 32, tied embeddings) and a byte-level BPE trained on the examples' text.

    Args:
        folder: where to write; loads with plain transformers.
        text: data files, in any form that recipes read.
        hidden: hidden size, a multiple of 32.
        layers: number of layers.
        vocabulary: at most so many tokens; at least the 256 bytes and three special tokens.
        seed: of the weights.

    Raises:
        ModelError: a size that makes no model.
    """
    if hidden < 32 or hidden % 32 or layers < 1 or vocabulary < 300:
        raise ModelError("a blank model needs a hidden size that is a multiple of 32, a layer, and 300 tokens")
    tokenizer = _tokenizer(_lines(text), vocabulary)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    save_model(LlamaForCausalLM(config), tokenizer, folder)


def _lines(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        for example in load_examples(Source(path=str(file))):
            yield f"Question: {example.prompt}\nAnswer: {example.response}" if example.prompt else example.response


def _tokenizer(lines: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[BOS, EOS, PAD], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(lines, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=EOS, pad_token=PAD)
