"""The coder computes what its formula says, learns, and stands in for the states that it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forgetting.analysis.sparse_coder import coded, load_coder, load_sparsify, token_states, train_coder, unexplained
from forgetting.core.errors import ModelError
from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, by_hand
from tests.golden import golden
from tests.models.tiny import tiny_model

GOLDEN = golden("sae")


def golden_coder() -> tuple[object, torch.Tensor]:
    rng = np.random.default_rng(0)
    weight, bias, decoder, shift, x = (
        scale * rng.standard_normal(shape)
        for scale, shape in ((0.3, (32, 12)), (0.1, 32), (0.3, (32, 12)), (0.1, 12), (1, (50, 12)))
    )
    sparsify = load_sparsify()
    coder = sparsify.SparseCoder(12, sparsify.SparseCoderConfig(num_latents=32, k=4, normalize_decoder=False))
    for parameter, value in (
        (coder.encoder.weight, weight),
        (coder.encoder.bias, bias),
        (coder.W_dec, decoder),
        (coder.b_dec, shift),
    ):
        parameter.data = torch.tensor(value, dtype=torch.float32)
    return coder, torch.tensor(x, dtype=torch.float32)


def test_reconstruction_and_unexplained_variance_are_the_known_ones() -> None:
    coder, x_TD = golden_coder()
    hat_TD, strengths_TK, numbers_TK = coded(coder, x_TD)
    left_T, all_T = unexplained(x_TD, hat_TD)
    assert left_T.sum() / all_T.sum() == pytest.approx(GOLDEN["fvu_formula"], rel=1e-6)
    assert sorted(numbers_TK[0].tolist()) == GOLDEN["latent_indices_row0"]
    assert float((strengths_TK > 0).sum(1).float().mean()) == GOLDEN["mean_l0"]


def test_training_finds_a_sparse_dictionary_and_repeats_itself() -> None:
    rng = torch.Generator().manual_seed(0)
    directions_FD = torch.nn.functional.normalize(torch.randn(24, 16, generator=rng), dim=1)
    code_TF = torch.rand(2000, 24, generator=rng) * (torch.rand(2000, 24, generator=rng) < 0.1)
    states_TD = 40 * code_TF @ directions_FD + 5
    state = torch.get_rng_state()
    coders = [
        train_coder(states_TD, features=64, k=6, steps=400, seed=3, progress=lambda done, total, note: None)
        for _ in range(2)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(coders[0].W_dec, coders[1].W_dec)
    left_T, all_T = unexplained(states_TD, coded(coders[0], states_TD)[0])
    assert left_T.sum() / all_T.sum() < 0.1
    assert coders[0].W_dec.norm(dim=1).numpy() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("layer", [0, 1])
@torch.no_grad()
def test_states_are_those_of_the_block_and_reconstructions_take_their_place(family: str, layer: int) -> None:
    model, coder, examples = tiny_model(family), _coder_of(tiny_model(family), layer), EXAMPLES["forget"]
    plain = token_states(model, TOKENIZER, examples, layer, formatting=Formatting())
    changed = token_states(model, TOKENIZER, examples, layer, formatting=Formatting(), coder=coder)
    assert plain.nll_N == pytest.approx([-np.mean(by_hand(model, e)[0]) for e in examples], abs=1e-5)
    for n in (0, 5):
        row = encode(examples[n], TOKENIZER, Formatting())
        places = [i - 1 for i, w in enumerate(row.weights) if w and row.ids[i - 1] not in TOKENIZER.all_special_ids]
        states_TD = _after(model, row.ids, layer, None)[0, places]
        torch.testing.assert_close(plain.states_TD[plain.rows_T == n], states_TD, atol=1e-5, rtol=0)
        assert plain.ids_T[plain.rows_T == n].tolist() == [row.ids[p] for p in places]
        logits_TV = _after(model, row.ids, layer, (places, coded(coder, states_TD)[0])).double()[0]
        supervised = [i for i, w in enumerate(row.weights) if w]
        nll = -np.mean([float(logits_TV[i - 1].log_softmax(-1)[row.ids[i]]) for i in supervised])
        assert changed.nll_N[n] == pytest.approx(nll, abs=1e-5)


def test_the_state_of_a_special_token_is_left_out_and_left_alone() -> None:
    model, text = tiny_model("llama"), [Example(id="t", prompt="", response="the cat ran")]
    row = encode(text[0], TOKENIZER, Formatting())
    places = [i - 1 for i, w in enumerate(row.weights) if w]
    special = [p for p in places if row.ids[p] in TOKENIZER.all_special_ids]
    found = token_states(model, TOKENIZER, text, 0, formatting=Formatting())
    assert special, "the text is to begin with a special token"
    assert len(found.ids_T) == len(places) - len(special)


def test_a_coder_is_loaded_from_a_folder_or_refused_in_one_line(tmp_path: Path) -> None:
    coder, x_TD = golden_coder()
    coder.save_to_disk(tmp_path / "one")  # type: ignore[attr-defined]
    again = load_coder(str(tmp_path / "one"), 0, 12)
    assert torch.equal(coded(again, x_TD)[0], coded(coder, x_TD)[0])
    with pytest.raises(ModelError, match="reads states of width 12; this model's have 16"):
        load_coder(str(tmp_path / "one"), 0, 16)
    (tmp_path / "one" / "cfg.json").write_text("{")
    with pytest.raises(ModelError, match="no coder that can be read") as refused:
        load_coder(str(tmp_path / "one"), 0, 12)
    assert "\n" not in str(refused.value)


def _coder_of(model: torch.nn.Module, layer: int) -> object:
    sparsify = load_sparsify()
    torch.manual_seed(1)
    width = token_states(model, TOKENIZER, EXAMPLES["forget"][:1], layer, formatting=Formatting()).states_TD.shape[1]
    return sparsify.SparseCoder(width, sparsify.SparseCoderConfig(num_latents=24, k=5)).requires_grad_(False)


def _after(
    model: torch.nn.Module, ids: list[int], layer: int, change: tuple[list[int], torch.Tensor] | None
) -> torch.Tensor:
    """The block's output, or the model's logits with some of its places changed, in one plain forward."""
    decoder = model.get_decoder()  # type: ignore[operator]
    blocks = decoder.layers if hasattr(decoder, "layers") else decoder.h
    kept = []

    def hook(block: object, args: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> object:
        states = output[0] if isinstance(output, tuple) else output
        kept.append(states.clone())
        if change is not None:
            states[0, change[0]] = change[1]
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = blocks[layer].register_forward_hook(hook)
    logits = model(torch.tensor([ids])).logits
    handle.remove()
    return kept[0] if change is None else logits
