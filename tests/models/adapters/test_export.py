"""What is exported gives the trained outputs: on the original base with plain PEFT, or merged."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.core.errors import ModelError
from forgetting.models.adapters import AdapterSpec, attach, linear_layers, merged, save_adapter
from forgetting.models.adapters.fila import Fila
from forgetting.models.loading import load_model, save_model
from tests.models.adapters.stages import logits, stir, worst
from tests.models.adapters.test_fila import importance_of
from tests.models.tiny import tiny_model, tiny_tokenizer

FAMILIES = ["llama", "gpt2", "qwen3", "gpt_neox"]
STAGES = {
    "lora": [AdapterSpec(rank=3, dropout=0.1)],
    "fila": [AdapterSpec(rank=3, init=Fila())],
    "lora then fila": [AdapterSpec(rank=2, alpha=3, targets="qv"), AdapterSpec(rank=3, init=Fila(), targets="qvffn")],
}


def trained(family: str, specs: list[AdapterSpec], folder: Path) -> tuple[PeftModel, torch.Tensor]:
    """A model saved in `folder`, loaded and carried through stages of a few steps; and the base's logits."""
    save_model(tiny_model(family), tiny_tokenizer(), folder)
    model = load_model(folder).model
    base = logits(model)
    for number, spec in enumerate(specs):
        importance = importance_of(model, spec.targets) if isinstance(spec.init, Fila) else None
        model = attach(model, spec, name=f"stage{number}", seed=number, prepared=importance)
        model.train()
        stir(model)
        model.eval()
    return model, base


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stages", STAGES)
def test_plain_peft_loads_the_adapter_on_the_original_base(family: str, stages: str, tmp_path: Path) -> None:
    model, base = trained(family, STAGES[stages], tmp_path / "base")
    expected = logits(model)
    assert worst(expected, base) > 0.05
    save_adapter(model, tiny_tokenizer(), tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    plain = AutoModelForCausalLM.from_pretrained(config["base_model_name_or_path"], attn_implementation="eager")
    loaded = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    assert worst(logits(loaded), expected) <= 1e-5
    assert AutoTokenizer.from_pretrained(tmp_path / "adapter")("the cat").input_ids == [4, 6]


def test_a_fila_pair_is_saved_bit_for_bit_as_one_lora_of_twice_the_rank(tmp_path: Path) -> None:
    model, _ = trained("llama", STAGES["fila"], tmp_path / "base")
    save_adapter(model, tiny_tokenizer(), tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (6, 12)
    state = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    for name, layer in linear_layers(model).items():
        pair = ["stage0", "stage0-start"]
        b = torch.cat([layer.lora_B[n].weight for n in pair], dim=1)
        a = torch.cat([layer.lora_A[n].weight for n in pair])
        assert torch.equal(state[f"base_model.model.{name}.lora_B.weight"], b)
        assert torch.equal(state[f"base_model.model.{name}.lora_A.weight"], a)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stages", STAGES)
def test_merging_keeps_the_outputs(family: str, stages: str, tmp_path: Path) -> None:
    model, _ = trained(family, STAGES[stages], tmp_path / "base")
    expected = logits(model)
    plain = merged(model)
    assert not isinstance(plain, PeftModel)
    assert not any("lora" in name or "base_layer" in name for name, _ in plain.named_parameters())
    assert worst(logits(plain), expected) <= 1e-5
    save_model(plain, tiny_tokenizer(), tmp_path / "merged")
    assert worst(logits(load_model(tmp_path / "merged").model), expected) <= 1e-5


def test_merging_rounds_once_to_the_precision_of_the_base() -> None:
    base = tiny_model("llama", dtype=torch.bfloat16)
    weights = {name: layer.weight.detach().clone() for name, layer in linear_layers(base).items()}
    model = attach(base, AdapterSpec(rank=3, init=Fila()), name="x", seed=0, prepared=importance_of(base, "all"))
    plain = merged(model)  # untrained: B A − B₀A₀ is zero, and the weights must come out bit for bit
    for name, layer in linear_layers(plain).items():
        assert torch.equal(layer.weight, weights[name])


def test_a_merged_model_can_be_given_a_new_adapter() -> None:
    model = merged(attach(tiny_model("llama"), AdapterSpec(rank=2), name="first", seed=0))
    assert merged(model) is model
    assert isinstance(attach(model, AdapterSpec(rank=2), name="first", seed=0), PeftModel)


def test_another_kind_of_adapter_is_merged_by_peft_and_not_saved_as_lora(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q_proj"], use_dora=True, init_lora_weights=False)
    model = get_peft_model(tiny_model("llama"), config)
    expected = logits(model)
    with pytest.raises(ModelError, match="only plain LoRA and CURLoRA can be saved"):
        save_adapter(model, tiny_tokenizer(), tmp_path / "adapter")
    assert not list(tmp_path.iterdir())
    assert worst(logits(merged(model)), expected) <= 1e-5
