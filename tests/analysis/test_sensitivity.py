"""Head-wise Fisher information against brute force figures, in three readings, with shared and fused projections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.attention_heads import Heads, medians, slices
from forgetting.analysis.sensitivity import head_fisher, sensitivity
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.core.progress import SILENT
from forgetting.data.formatting import Formatting
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, models
from tests.golden import golden
from tests.models.tiny import tiny_model, tiny_tokenizer

FIGURES = golden("fisher_heads")


def filled(model: PreTrainedModel, names: list[str], seed: int) -> PreTrainedModel:
    """The weights of the figures: one generator over these names."""
    rng, state = np.random.default_rng(seed), dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            drawn = rng.standard_normal(tuple(state[name].shape))
            if drawn.ndim == 1:
                drawn = 0.1 * drawn if name.endswith("bias") else 1 + 0.1 * drawn
            else:
                drawn = 0.5 * drawn
            state[name].copy_(torch.from_numpy(drawn))
    return model.eval()


def llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        rms_norm_eps=1e-6,
        rope_theta=1e4,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    return filled(model, sorted(n for n, _ in model.named_parameters()), 10)


def gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=32, n_embd=24, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
    )
    model = GPT2LMHeadModel(config)
    return filled(model, sorted(n for n, _ in model.named_parameters()), 11)


def sequences() -> list[Example]:
    rng = np.random.default_rng(12)
    drawn = [rng.integers(0, 32, size=n) for n in (9, 7, 12, 5)]
    return [
        Example(id=str(i), response="", form="tokens", token_ids=tuple(map(int, ids))) for i, ids in enumerate(drawn)
    ]


@pytest.mark.parametrize("reading", ["sequence_sum", "sequence_mean", "token"])
def test_the_heads_of_a_llama_have_the_figures_of_brute_force(reading: str) -> None:
    found = head_fisher(llama(), tiny_tokenizer(), sequences(), formatting=Formatting(), reading=reading, voice=SILENT)
    for layer, expected in enumerate(FIGURES["llama"][reading]["layers"]):
        heads = found.mean(0)[layer]
        assert heads == pytest.approx(np.array(expected["per_head_qkv"]), rel=2e-4)
        assert heads.mean(1) == pytest.approx(expected["per_head_mean"], rel=2e-4)
        middle, low, high = medians(heads.mean(1)[None])
        assert (middle[0], low[0], high[0]) == pytest.approx(
            (expected["median"], expected["q25"], expected["q75"]), rel=2e-4
        )


def test_the_heads_of_a_fused_projection_have_the_figures_of_brute_force() -> None:
    found = head_fisher(gpt2(), tiny_tokenizer(), sequences(), formatting=Formatting(), voice=SILENT)
    for layer, expected in enumerate(FIGURES["gpt2"]["sequence_sum"]["layers"]):
        assert found.mean(0)[layer] == pytest.approx(np.array(expected["per_head_qkv"]), rel=2e-4)


def test_fused_rows_of_one_head_after_another_are_unpacked() -> None:
    model = tiny_model("gpt_neox")
    heads = Heads.of(model)
    rows = {s.part: s.rows_H for s in slices(model) if s.layer == 0}
    assert rows["q"][1] == slice(3 * heads.width, 4 * heads.width)
    assert rows["k"][0] == slice(heads.width, 2 * heads.width)


def test_heads_that_do_not_fit_the_matrix_are_refused() -> None:
    model = llama()
    model.config.head_dim = 6
    with pytest.raises(ModelError, match="q_proj has 32 rows, and the heads of its config take 24"):
        slices(model)


def test_a_model_against_itself_is_as_sensitive() -> None:
    before, after, _, _ = models()
    same = Compared(before=before, after=before, tokenizer=TOKENIZER, examples=EXAMPLES)
    ratio = {m.key: m for m in ANALYSES.build("sensitivity")(same).measures}["forget/fisher_ratio"]
    assert ratio.value == pytest.approx(1.0)
    other = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("sensitivity")(other)
    moved = {m.key: m for m in findings.measures}["forget/fisher_ratio"]
    assert abs(moved.value - 1) > 0.01 and moved.low < moved.value < moved.high
    assert {s.name for s in findings.series} == {"forget, start", "forget, after", "retain, start", "retain, after"}


@pytest.mark.parametrize(("keys", "message"), [({"reading": "mean"}, "sequence_sum, "), ({"examples": 0}, "from 1 up")])
def test_wrong_parameters_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sensitivity(**keys)
