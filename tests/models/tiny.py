"""Tiny random models of the common families, for tests of everything that must hold for each of them."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedModel, PreTrainedTokenizerFast

_HIDDEN, _LAYERS, _HEADS, _INNER, _LENGTH = 32, 2, 4, 48, 128

_LLAMA_LIKE: dict[str, Any] = {
    "hidden_size": _HIDDEN,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _HEADS,
    "num_key_value_heads": 2,
    "intermediate_size": _INNER,
    "max_position_embeddings": _LENGTH,
}
_HEAD_DIM = {"head_dim": _HIDDEN // _HEADS}

_FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", _LLAMA_LIKE),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", _LLAMA_LIKE),
    # Qwen3's head_dim is not hidden / heads, as in Qwen3-0.6B.
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {**_LLAMA_LIKE, "head_dim": 16}),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", {**_LLAMA_LIKE, **_HEAD_DIM, "final_logit_softcapping": 30.0}),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**_LLAMA_LIKE, **_HEAD_DIM}),
    "mistral": ("MistralConfig", "MistralForCausalLM", _LLAMA_LIKE),
    "phi": ("PhiConfig", "PhiForCausalLM", {**_LLAMA_LIKE, "num_key_value_heads": _HEADS}),
    "gpt2": (
        "GPT2Config",
        "GPT2LMHeadModel",
        {
            "n_embd": _HIDDEN,
            "n_layer": _LAYERS,
            "n_head": _HEADS,
            "n_inner": _INNER,
            "n_positions": _LENGTH,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        },
    ),
    "gpt_neo": (
        "GPTNeoConfig",
        "GPTNeoForCausalLM",
        {
            "hidden_size": _HIDDEN,
            "num_layers": _LAYERS,
            "num_heads": _HEADS,
            "intermediate_size": _INNER,
            "max_position_embeddings": _LENGTH,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 8,
        },
    ),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", _LLAMA_LIKE),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", _LLAMA_LIKE),
    "granite": ("GraniteConfig", "GraniteForCausalLM", {**_LLAMA_LIKE, "logits_scaling": 4.0}),
    "cohere": ("CohereConfig", "CohereForCausalLM", {**_LLAMA_LIKE, "logit_scale": 0.25}),
}
_NO_KV_HEADS = {"gpt_neox"}

FAMILIES: tuple[str, ...] = tuple(_FAMILIES)


def tiny_model(
    family: str,
    *,
    seed: int = 0,
    tied: bool | None = None,
    vocab: int = 97,
    head_scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
    **config: Any,
) -> PreTrainedModel:
    """A random causal model of `family` in evaluation mode: hidden 32, 2 layers, 4 heads, about 30k parameters.

    Biases and norms are random too, so that a test cannot pass by forgetting one. The head is scaled until between
    50% and 80% of random positions have a max p above 0.9, and then once more by `head_scale`.

    Args:
        tied: head tied to the input embedding; None: the family's own default.
        config: more keys of the family's config, such as `final_logit_softcapping=20.0`.
    """
    config_class, model_class, keys = _FAMILIES[family]
    keys = {k: v for k, v in keys.items() if not (family in _NO_KV_HEADS and k == "num_key_value_heads")}
    special = {"vocab_size": vocab, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if tied is not None:
        special["tie_word_embeddings"] = tied
    built = getattr(transformers, config_class)(**{**keys, **special, "attn_implementation": "eager", **config})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, model_class)(built).eval()
        _randomise(model)
        _scale_head(model, head_scale)
    return model.to(dtype)


@torch.no_grad()
def _randomise(model: PreTrainedModel) -> None:
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.add_(0.2 * torch.randn_like(parameter))
        else:
            parameter.normal_(std=0.2)


@torch.no_grad()
def _scale_head(model: PreTrainedModel, extra: float) -> None:
    ids = torch.randint(3, model.config.vocab_size, (16, 40))
    head = model.get_output_embeddings()
    # Tokens of unequal norm, as in trained models: under a soft cap equal ones would never be nearly certain.
    head.weight.mul_(torch.exp(0.9 * torch.randn(model.config.vocab_size, 1)))
    for _ in range(40):
        certain = (model(ids).logits.softmax(-1).amax(-1) > 0.9).float().mean()
        if 0.5 <= certain <= 0.8:
            break
        head.weight.mul_(1.25 if certain < 0.5 else 0.85)
    head.weight.mul_(extra)


_TEXT = "the a cat dog bird fish sat ran flew swam on in over under red blue green big small"
WORDS: tuple[str, ...] = tuple(_TEXT.split())


def tiny_tokenizer(
    *, pad: bool = True, eos: bool = True, vocab: int = 97, chat_template: str | None = None
) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over `WORDS` and `w<i>`: id 0 <pad>, 1 <bos>, 2 <eos>, 3 <unk>, then the words."""
    names = ["<pad>", "<bos>", "<eos>", "<unk>", *WORDS]
    names += [f"w{i}" for i in range(len(names), vocab)]
    backend = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>" if eos else None,
        pad_token="<pad>" if pad else None,
    )
    tokenizer.chat_template = chat_template
    return tokenizer
