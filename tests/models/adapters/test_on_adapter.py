"""An adapter trained on an adapter is saved as one of the whole model at the bottom, the same however it is loaded."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, IA3Config, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from forgetting.core.errors import ModelError
from forgetting.models.adapters import AdapterSpec, attach, joined, merged, save_adapter
from forgetting.models.adapters.fila import Fila
from forgetting.models.expression import load_expression
from forgetting.models.loading import load_model, save_model
from tests.models.adapters.stages import IDS, logits, stir, worst
from tests.models.adapters.test_fila import importance_of
from tests.models.tiny import tiny_model, tiny_tokenizer

ALL = ["q_proj", "v_proj", "up_proj", "down_proj"]
PLAIN: dict[str, dict[str, Any]] = {
    "lora": {"r": 3, "lora_alpha": 5, "lora_dropout": 0.5},
    "rslora": {"r": 3, "lora_alpha": 5, "use_rslora": True},
    "patterns": {"r": 2, "lora_alpha": 4, "rank_pattern": {"q_proj": 5}, "alpha_pattern": {"up_proj": 1}},
    "some layers": {"r": 2, "layers_to_transform": [1]},
}
MORE: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "bias": {"bias": "lora_only"},
    "whole modules": {"modules_to_save": ["lm_head"]},
    "pissa": {"init_lora_weights": "pissa"},
    "tokens": {"trainable_token_indices": [3, 4]},
}
SPECS = {
    "lora": AdapterSpec(rank=2, alpha=3, targets="qv"),
    "fila": AdapterSpec(rank=3, init=Fila(), targets="qvffn"),
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    save_model(tiny_model("llama", attention_bias=True), tiny_tokenizer(), tmp_path / "base")
    return tmp_path / "base"


def logp(model: nn.Module) -> float:
    """Mean log p of every token of `IDS` but the first of each row."""
    logps = logits(model)[:, :-1].double().log_softmax(-1)
    return float(logps.gather(-1, IDS[:, 1:, None]).mean())


def by_peft(base: Path, folder: Path, config: Any) -> Tensor:
    """An adapter trained and saved by plain PEFT, and its model's logits."""
    plain = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(1)
    model = get_peft_model(plain, config)
    stir(model, learning_rate=2e-2)
    model.eval()
    model.save_pretrained(folder)
    return logits(model)


def further(folder: Path, spec: AdapterSpec, to: Path, name: str = "next") -> nn.Module:
    """A stage on the model of `folder`, saved; returns the trained model."""
    loaded = load_model(folder)
    importance = importance_of(loaded.model, spec.targets) if isinstance(spec.init, Fila) else None
    model = attach(loaded.model, spec, name=name, seed=3, prepared=importance)
    model.train()
    stir(model, learning_rate=2e-2)
    model = model.eval()
    save_adapter(model, loaded.tokenizer, to)
    return model


def in_three_ways(base: Path, folder: Path) -> list[float]:
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base), "the whole model, by its absolute path"
    onto_the_base = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    return [logp(onto_the_base), logp(AutoPeftModelForCausalLM.from_pretrained(folder)), logp(load_model(folder).model)]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_lora_and_what_is_trained_on_it_become_one(base: Path, tmp_path: Path, kind: str, spec: str) -> None:
    expected = by_peft(base, tmp_path / "first", LoraConfig(**{"target_modules": ALL, **PLAIN[kind]}))
    first = load_model(tmp_path / "first")
    assert worst(logits(first.model), expected) <= 1e-6 and not first.merged
    trained = further(tmp_path / "first", SPECS[spec], tmp_path / "second")
    found = in_three_ways(base, tmp_path / "second")
    assert found == pytest.approx([logp(trained)] * 3, abs=1e-5)
    assert abs(found[0] - logp(first.model)) > 1e-2, "the second stage changed the model"
    assert abs(found[0] - logp(load_model(base).model)) > 1e-2
    # What is measured in its saved form is what is loaded, to the last bit.
    assert torch.equal(logits(joined(trained)), logits(load_model(tmp_path / "second").model))


def test_curlora_adapters_of_more_columns_than_the_matrix_has_are_one(base: Path, tmp_path: Path) -> None:
    spec = AdapterSpec(kind="curlora", rank=10, targets="qv")
    further(base, spec, tmp_path / "one")
    trained = further(tmp_path / "one", spec, tmp_path / "two", name="more")
    assert in_three_ways(base, tmp_path / "two") == pytest.approx([logp(trained)] * 3, abs=1e-5)
    assert torch.equal(logits(joined(trained)), logits(load_model(tmp_path / "two").model))


def test_weights_that_were_loaded_in_16_bits_and_widened_are_those_stored(base: Path, tmp_path: Path) -> None:
    model = attach(load_model(base, dtype="bfloat16").model.float(), SPECS["lora"], name="x", seed=0)
    save_adapter(model, tiny_tokenizer(), tmp_path / "out")
    again = load_model(tmp_path / "out", dtype="bfloat16").model.float()
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize("kind", ["lora", "curlora"])
def test_three_in_a_row_are_one_adapter_of_the_base(base: Path, tmp_path: Path, kind: str) -> None:
    spec = AdapterSpec(rank=2, targets="qv") if kind == "lora" else AdapterSpec(kind="curlora", rank=2, targets="qv")
    places = [base, *(tmp_path / name for name in ("one", "two", "three"))]
    for number, (source, to) in enumerate(pairwise(places)):
        trained = further(source, spec, to, name=f"stage{number}")
        assert in_three_ways(base, to) == pytest.approx([logp(trained)] * 3, abs=1e-5)
    assert json.loads((places[-1] / "adapter_config.json").read_text())["r"] == 6


@pytest.mark.parametrize("kind", MORE)
def test_what_is_more_than_a_plain_lora_is_merged_and_what_is_trained_on_it_is_not_saved_alone(
    base: Path, tmp_path: Path, kind: str
) -> None:
    config = LoraConfig(**{"r": 3, "target_modules": ALL, **MORE[kind]})
    expected = by_peft(base, tmp_path / "first", config)
    loaded = load_model(tmp_path / "first")
    assert loaded.merged and worst(logits(loaded.model), expected) <= 1e-5
    model = attach(loaded.model, SPECS["lora"], name="next", seed=0)
    stir(model)
    expected = logits(model)
    whole = merged(model)
    save_model(whole, loaded.tokenizer, tmp_path / "second")
    assert worst(logits(load_model(tmp_path / "second").model), expected) <= 1e-5
    # Beside its base it is a model of its own: a view would take the other's modules.
    doubled = load_expression(f"{base} - 1*{base} + {tmp_path / 'first'}").model
    assert worst(logits(doubled), logits(load_model(tmp_path / "first").model)) <= 1e-5


def test_other_methods_are_merged_or_refused(base: Path, tmp_path: Path) -> None:
    ia3 = IA3Config(target_modules=["v_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")
    expected = by_peft(base, tmp_path / "ia3", ia3)
    assert worst(logits(load_model(tmp_path / "ia3").model), expected) <= 1e-5
    prompts = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    )
    prompts.save_pretrained(tmp_path / "prompts")
    with pytest.raises(ModelError, match="adds tokens instead of changing matrices") as error:
        load_model(tmp_path / "prompts")
    assert "\n" not in str(error.value)


def test_an_adapter_of_changed_weights_is_refused_since_it_would_bring_back_what_they_lost(
    base: Path, tmp_path: Path
) -> None:
    full = attach(load_model(base).model, AdapterSpec(kind="full"), name="full", seed=0)
    stir(full)
    folded = attach(load_model(base).model, AdapterSpec(rank=2), name="one", seed=0)
    stir(folded, learning_rate=2e-2)
    for changed in (full, merged(folded)):
        model = attach(changed, AdapterSpec(rank=2), name="two", seed=0)
        with pytest.raises(ModelError, match=r"an adapter of .*base would not give this model back") as error:
            save_adapter(model, tiny_tokenizer(), tmp_path / "out")
        assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_an_adapter_on_an_adapter_folder_is_stacked(base: Path, tmp_path: Path) -> None:
    """The nested folders that PEFT makes of a merged model, and that earlier versions exported."""
    by_peft(base, tmp_path / "lower", LoraConfig(r=2, target_modules=ALL))
    below = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "lower").merge_and_unload()
    upper = get_peft_model(below, LoraConfig(r=2, target_modules=ALL))
    stir(upper, learning_rate=2e-2)
    upper.eval().save_pretrained(tmp_path / "upper")
    file = tmp_path / "upper" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": str(tmp_path / "lower")}))
    loaded = load_model(tmp_path / "upper")
    assert worst(logits(loaded.model), logits(upper)) <= 1e-5 and loaded.base == str(base)
    beside = load_expression(f"1*{tmp_path / 'upper'} + 0*{base}").model
    assert worst(logits(beside), logits(upper)) <= 1e-5
    trained = further(tmp_path / "upper", SPECS["lora"], tmp_path / "third")
    assert in_three_ways(base, tmp_path / "third") == pytest.approx([logp(trained)] * 3, abs=1e-5)
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": str(tmp_path / "upper")}))
    with pytest.raises(ModelError, match="it is its own base"):
        load_model(tmp_path / "upper")


@pytest.mark.parametrize("left", [0, 2, 5])
def test_an_adapter_of_which_not_all_tensors_fit_is_refused(base: Path, tmp_path: Path, left: int) -> None:
    by_peft(base, tmp_path / "adapter", LoraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[0, 1]))
    by_peft(base, tmp_path / "more", LoraConfig(r=2, target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 1]))
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    for tensors in (
        {
            (name if i < left else name.replace("q_proj", "z_proj")): t
            for i, (name, t) in enumerate(load_file(file).items())
        }
        if left < 5
        else load_file(tmp_path / "more" / "adapter_model.safetensors"),
    ):
        save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"adapter: only \d of \d+ tensors of this adapter and of the model fit"
    ) as error:
        load_model(tmp_path / "adapter")
    assert "\n" not in str(error.value)
    if left < 5:
        assert f"only {left} of" in str(error.value)


def test_a_relative_base_is_written_absolutely(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained = further(Path("base"), SPECS["lora"], tmp_path / "first")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert in_three_ways(base, tmp_path / "first") == pytest.approx([logp(trained)] * 3, abs=1e-5)
