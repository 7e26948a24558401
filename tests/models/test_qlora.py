"""LoRA on weights in 4 bits: what the model computes, what trains, what is exported, what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.data.encode import Encoded
from forgetting.models.adapters import (
    AdapterSpec,
    adapter_state,
    adapters_active,
    attach,
    linear_layers,
    merged,
    merged_into_whole,
    save_adapter,
    trainable_share,
)
from forgetting.models.adapters.fila import Fila
from forgetting.models.adapters.lora import effective_weight
from forgetting.models.adapters.remove import without
from forgetting.models.head import IDENTITY, head_of
from forgetting.models.loading import load_model, save_model
from forgetting.models.quantised import is_quantised, quantised_words, weight_bytes, whole_weight
from forgetting.objectives.methods import build_method
from forgetting.training.row_cost import StageCost
from forgetting.training.row_counts import stage_cost
from forgetting.training.stored_reference import fingerprint
from tests.models.adapters.stages import IDS, logits, stir, worst
from tests.models.tiny import FAMILIES, tiny_model, tiny_tokenizer
from tests.training.making import row_importance

ABSENT = importlib.util.find_spec("bitsandbytes") is None
needs_bitsandbytes = pytest.mark.skipif(ABSENT, reason="bitsandbytes is missing: pip install 'forgetting[qlora]'")
QLORA = AdapterSpec(kind="qlora", rank=3)

LEVELS = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
"""The 16 values of NormalFloat 4: Dettmers et al. 2023, appendix E."""


def written(family: str, folder: Path, **keys: object) -> Path:
    """A model of whole blocks of 64, and of a multiple of 32 rows: on some processors a case of its own."""
    sizes = {"n_embd": 64, "n_inner": 128} if family == "gpt2" else {"hidden_size": 64, "intermediate_size": 128}
    heads = {"head_dim": 16} if family in ("qwen3", "gemma2", "gemma3") else {}
    save_model(tiny_model(family, **{**sizes, **heads, **keys}), tiny_tokenizer(), folder)  # type: ignore[arg-type]
    return folder


def quantised(family: str, folder: Path, **keys: object) -> PreTrainedModel:
    return load_model(written(family, folder, **keys), quantise="nf4").model


def restored(quantised: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The model in `folder` with plain matrices of exactly the values that the 4 bits stand for."""
    plain = load_model(folder).model
    for name, layer in linear_layers(plain).items():
        whole = whole_weight(linear_layers(quantised)[name])
        layer.weight.data.copy_(whole.T if type(layer).__name__ == "Conv1D" else whole)
    return plain


def trained(model: PreTrainedModel, spec: AdapterSpec = QLORA, name: str = "one") -> PeftModel:
    model = attach(model, spec, name=name, seed=3)
    model.train()
    stir(model)
    return model.eval()


@needs_bitsandbytes
@pytest.mark.parametrize(
    ("family", "tied"), [*((family, None) for family in FAMILIES), ("llama", True), ("gpt2", False)]
)
def test_it_computes_what_its_restored_weights_compute(family: str, tied: bool | None, tmp_path: Path) -> None:
    model = quantised(family, tmp_path, tied=tied)
    assert all(is_quantised(layer) for layer in linear_layers(model).values())
    assert head_of(model) is not IDENTITY, "the head is in no 4 bits and goes its usual way"
    assert worst(logits(model), logits(restored(model, tmp_path))) <= 2e-6
    assert worst(logits(model), logits(load_model(tmp_path).model)) > 0.01


@needs_bitsandbytes
def test_every_weight_is_the_nearest_of_16_levels_of_its_block(tmp_path: Path) -> None:
    model = quantised("llama", tmp_path)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    for name, layer in linear_layers(load_model(tmp_path).model).items():
        blocks_BK = layer.weight.detach().double().reshape(-1, 64)
        scale_B1 = blocks_BK.abs().amax(1, keepdim=True)
        nearest_BK = levels[(blocks_BK[..., None] / scale_B1[..., None] - levels).abs().argmin(-1)] * scale_B1
        found_BK = whole_weight(linear_layers(model)[name]).double().reshape(-1, 64)
        # The scales are stored in 8 bits of the largest in the matrix, less their mean.
        spread = float((scale_B1 - scale_B1.mean()).abs().max())
        assert float((found_BK - nearest_BK).abs().max()) <= spread / 100 + 1e-6
        assert float((found_BK - blocks_BK).abs().max()) > 10 * spread / 100


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_evaluation_changes_no_weight_and_computes_as_training_does(dtype: str, tmp_path: Path) -> None:
    folder = written("llama", tmp_path)
    model = load_model(folder, dtype=dtype, quantise="nf4").model
    before = fingerprint(model)
    assert before == fingerprint(load_model(folder, dtype=dtype, quantise="nf4").model)
    in_evaluation = logits(model)
    assert torch.equal(logits(model.train(), keep_mode=True), in_evaluation)
    assert fingerprint(model) == before
    assert fingerprint(load_model(folder, dtype=dtype).model) != before


@needs_bitsandbytes
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_gradients_are_those_of_the_restored_weights_and_reach_the_adapter_only(family: str, tmp_path: Path) -> None:
    gradients: list[dict[str, Tensor]] = []
    model = quantised(family, tmp_path)
    plain = restored(model, tmp_path)
    for one in (attach(model, QLORA, name="one", seed=3), attach(plain, AdapterSpec(rank=3), name="one", seed=3)):
        for layer in linear_layers(one).values():
            torch.nn.init.normal_(layer.lora_B["one"].weight, std=0.1, generator=torch.Generator().manual_seed(5))
        one(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append({n: p.grad for n, p in one.named_parameters() if p.grad is not None})
    found, expected = gradients
    assert found.keys() == expected.keys() and len(found) == 2 * len(linear_layers(plain))
    assert all("lora_" in name for name in found)
    for name, gradient in found.items():
        assert worst(gradient, expected[name]) <= 1e-4, name


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_with_its_adapters_off_it_is_the_quantised_base_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    loaded = load_model(written("llama", tmp_path), dtype=dtype, quantise="nf4").model
    before = logits(loaded)
    model = trained(loaded)
    assert worst(logits(model), before) > 0.05
    with adapters_active(model, ()):
        assert torch.equal(logits(model), before)
    plain = without(model, ("one",))
    assert torch.equal(logits(plain), before)


@needs_bitsandbytes
def test_a_checkpoint_holds_the_adapter_alone_and_puts_it_back(tmp_path: Path) -> None:
    model = trained(quantised("qwen2", tmp_path))
    state = {name: value.clone() for name, value in adapter_state(model).items()}
    assert all("lora_" in name and value.dtype == torch.float32 for name, value in state.items())
    resumed = attach(load_model(tmp_path, quantise="nf4").model, QLORA, name="one", seed=9, state=state)
    assert torch.equal(logits(resumed), logits(model))


@needs_bitsandbytes
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_plain_peft_loads_the_adapter_on_the_whole_base(family: str, tmp_path: Path) -> None:
    model = trained(quantised(family, tmp_path / "base"))
    save_adapter(model, tiny_tokenizer(), tmp_path / "adapter")
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "base", attn_implementation="eager")
    by_peft = PeftModel.from_pretrained(whole, tmp_path / "adapter").eval()
    expected = logits(by_peft)
    assert worst(expected, logits(load_model(tmp_path / "base").model)) > 0.05
    assert worst(logits(load_model(tmp_path / "adapter").model), expected) <= 1e-5
    into_whole = merged_into_whole(model)
    assert worst(logits(into_whole), expected) <= 1e-5
    save_model(into_whole, tiny_tokenizer(), tmp_path / "merged")
    assert worst(logits(load_model(tmp_path / "merged").model), expected) <= 1e-5
    assert worst(logits(model), expected) > 1e-3, "the quantised base is another one"


@needs_bitsandbytes
def test_fila_takes_its_start_from_the_restored_weights(tmp_path: Path) -> None:
    model = quantised("llama", tmp_path)
    before = logits(model)
    rows = [Encoded(str(i), tuple(int(t) for t in ids), (0.0, *(1.0,) * 16)) for i, ids in enumerate(IDS)]
    both = [
        row_importance(one, rows[:1], rows[1:], tuple(linear_layers(one)), pad_id=0)
        for one in (model, restored(model, tmp_path))
    ]
    for name, weights in both[0].items():
        assert worst(weights, both[1][name]) <= 1e-3, name
    spec = AdapterSpec(kind="qlora", rank=3, init=Fila())
    model = attach(model, spec, name="one", seed=0, prepared=both[0])
    assert worst(logits(model), before) <= 1e-5, "B A and −B₀A₀ take each other away"
    name, layer = next(iter(linear_layers(model).items()))
    whole = whole_weight(layer.get_base_layer())
    assert worst(effective_weight(layer), whole) <= 1e-6
    start = layer.scaling["one"] * layer.lora_B["one"].weight @ layer.lora_A["one"].weight
    w_O1 = both[0][name].float()[:, None]
    left = torch.linalg.matrix_norm(w_O1 * (whole - start.detach()))
    best = torch.linalg.svdvals(w_O1.double() * whole.double())[3:].square().sum().sqrt()
    assert float(left) == pytest.approx(float(best), rel=1e-2)


@needs_bitsandbytes
def test_a_folder_that_holds_4_bits_is_read_and_nothing_is_merged_into_it(tmp_path: Path) -> None:
    model = quantised("llama", tmp_path / "base")
    model.save_pretrained(tmp_path / "stored")
    tiny_tokenizer().save_pretrained(tmp_path / "stored")
    stored = load_model(tmp_path / "stored").model
    assert torch.equal(logits(stored), logits(model)) and torch.equal(logits(stored), logits(model))
    with pytest.raises(ModelError, match="stored: quantised as it is stored, so nothing can be merged into it"):
        merged_into_whole(attach(stored, QLORA, name="one", seed=0))


@needs_bitsandbytes
def test_its_weights_are_counted_as_weights_and_not_as_bytes(tmp_path: Path) -> None:
    model = quantised("llama", tmp_path)
    plain = load_model(tmp_path).model
    assert weight_bytes(plain) == 4 * sum(p.numel() for p in plain.parameters())
    assert weight_bytes(model) < weight_bytes(plain)
    words = quantised_words(model)
    assert words.startswith("14 matrices (") and f"of {plain.num_parameters():,} weights) in 4 bits" in words
    assert "head, embeddings, norms and biases stay float32" in words
    shares = [trainable_share(attach(m, AdapterSpec(rank=3), name="one", seed=0)) for m in (model, plain)]
    assert shares[0] == shares[1]


@needs_bitsandbytes
def test_its_rows_cost_what_those_of_whole_weights_cost(tmp_path: Path) -> None:
    rows = {"forget": [Encoded("a", (1, 2, 3, 4), (0.0, 1.0, 1.0, 1.0))]}
    model = quantised("llama", tmp_path)
    objective = build_method("ga", {})
    costs = [
        stage_cost(attach(m, AdapterSpec(rank=3), name="one", seed=0), objective, rows)
        for m in (model, load_model(tmp_path).model)
    ]
    assert isinstance(costs[0], StageCost), costs[0]
    assert costs[0] == costs[1]


@needs_bitsandbytes
def test_what_does_not_go_with_4_bits_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = written("llama", tmp_path / "base")
    model = load_model(folder, quantise="nf4").model
    with pytest.raises(ModelError, match=r"^weights in 4 bits cannot be trained themselves; write adapter"):
        attach(model, AdapterSpec(kind="full"), name="one", seed=0)
    with pytest.raises(ModelError, match="weights in 4 bits are not saved; save the adapter"):
        save_model(model, tiny_tokenizer(), tmp_path / "out")
    adapted = attach(model, QLORA, name="one", seed=0)
    with pytest.raises(ModelError, match="cannot merge into a quantised base"):
        merged(adapted)
    save_adapter(adapted, tiny_tokenizer(), tmp_path / "adapter")
    beside = load_model(tmp_path / "adapter", quantise="nf4").model
    assert worst(logits(beside), logits(adapted)) <= 1e-6
    with pytest.raises(ModelError, match="weights in float64 cannot be quantised; write bfloat16"):
        load_model(folder, dtype="float64", quantise="nf4")
    with pytest.raises(ModelError, match="bitsandbytes has no 4-bit weights on meta; choose one of cpu, cuda"):
        load_model(folder, device="meta", quantise="nf4")
    with pytest.raises(ModelError, match=r"mlp\.down_proj has rows of 96 weights, not a multiple of 64"):
        load_model(written("llama", tmp_path / "odd", intermediate_size=96), quantise="nf4")
    folder.rename(tmp_path / "gone")
    with pytest.raises(ModelError, match="base: "):
        merged_into_whole(adapted)


def test_a_qlora_needs_a_model_in_4_bits() -> None:
    with pytest.raises(ModelError, match=r"^adapter\.kind: qlora, but the model is not in 4 bits; load it with"):
        attach(tiny_model("llama"), QLORA, name="one", seed=0)


def test_without_bitsandbytes_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written("llama", tmp_path / "base")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=r"base: 4-bit weights need .*; pip install 'forgetting\[qlora\]'$"):
        load_model(folder, quantise="nf4")


def test_another_way_of_quantising_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="quantise: 'int3' is not known; write nf4"):
        load_model(written("llama", tmp_path), quantise="int3")  # type: ignore[arg-type]
