"""A model that others made is loaded as it is meant, or refused in one line; nothing of it is run or unpickled."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from forgetting.core.errors import ModelError
from forgetting.core.folder import MARK
from forgetting.models import foreign
from forgetting.models.adapters import add_saved
from forgetting.models.loading import load_model, save_model
from forgetting.models.precision import settled
from tests.models.tiny import tiny_model, tiny_tokenizer


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that another program saved."""
    save_model(tiny_model("llama"), tiny_tokenizer(), tmp_path / "model")
    (tmp_path / "model" / MARK).unlink()
    return tmp_path / "model"


def changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def adapter(folder: Path, base: Path | str, **values: object) -> Path:
    """A LoRA on the q_proj of every layer, all zeros."""
    folder.mkdir()
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(base), "r": 2}
    config |= {"target_modules": ["q_proj"], **values}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = {}
    for name, module in tiny_model("llama").named_modules():
        if name.endswith("q_proj"):
            out, into = module.weight.shape
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.zeros(2, into)
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.zeros(out, 2)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("named", ["pytorch_model.bin", "../secret.safetensors", "/etc/x.safetensors", "sub/x.bin"])
def test_an_index_that_names_anything_but_safetensors_beside_it_is_refused(folder: Path, named: str) -> None:
    trap = folder.parent / "run"
    torch.save({"a": Trap(trap)}, folder / "pytorch_model.bin")
    names = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, named)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=f"names '{named}'; only"):
        load_model(folder)
    assert not trap.exists()


def test_a_part_of_the_weights_that_an_index_names_and_is_missing_is_named(folder: Path) -> None:
    names = load_file(folder / "model.safetensors")
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (folder / "model.safetensors").rename(folder / parts[0])
    (folder / MARK).unlink(missing_ok=True)
    index = {"metadata": {}, "weight_map": dict(zip(names, [parts[0], *[parts[1]] * len(names)], strict=False))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError) as error:
        load_model(folder)
    assert str(error.value) == (
        f"{folder}: {parts[1]} is missing, which model.safetensors.index.json names; copy the model again"
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', "{}", "[" * 100_000])
def test_an_index_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match="not an index of weights"):
        load_model(folder)


def test_an_adapter_is_not_unpickled(folder: Path, tmp_path: Path) -> None:
    path, trap = adapter(tmp_path / "adapter", folder), tmp_path / "run"
    (path / "adapter_model.safetensors").unlink()
    torch.save({"a": Trap(trap)}, path / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"no \*\.safetensors in this folder"):
        load_model(path)
    with pytest.raises(ModelError, match="only safetensors are read"):
        add_saved(tiny_model("llama"), path, name="a-saved")
    assert not trap.exists()


@pytest.mark.parametrize("layers", [10**7, 0, -1])
def test_no_more_layers_are_built_than_there_are_weights_for(folder: Path, layers: int) -> None:
    changed(folder / "config.json", num_hidden_layers=layers, layer_types=None)
    with pytest.raises(ModelError, match=r"config\.json: .*layers|cannot be loaded"):
        load_model(folder)


def test_a_model_that_cannot_be_run_is_refused_when_it_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(folder / "config.json", max_position_embeddings=0)
    with pytest.raises(ModelError, match=r"has 0 positions|cannot be loaded"):
        load_model(folder)
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    model.model.layers[0].mlp = torch.nn.Linear(3, 3)
    with pytest.raises(ModelError, match=r"x: the model cannot be run \(.*its config\.json does not fit"):
        foreign.check_runs("x", model, tokenizer)


@pytest.mark.parametrize("value", [-1, 1, 1e12])
def test_a_dropout_that_cannot_be_trained_with_is_refused_when_it_is_loaded(folder: Path, value: float) -> None:
    changed(folder / "config.json", attention_dropout=value)
    with pytest.raises(ModelError, match=r"config\.json: attention_dropout is .*; write a part from 0 to below 1"):
        load_model(folder)
    changed(folder / "config.json", attention_dropout=0.1)
    load_model(folder)


@pytest.mark.parametrize("text", ['{"eos_token_id": 2,', "[2]", "", "\ufffe", "[" * 100_000])
def test_settings_of_generation_that_cannot_be_read_are_not_left_out(folder: Path, text: str) -> None:
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"generation_config\.json: not (JSON|the settings)"):
        load_model(folder)
    (folder / "generation_config.json").unlink()
    load_model(folder)


def test_another_models_tokenizer_is_refused_and_a_few_added_tokens_are_not(folder: Path) -> None:
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    tokenizer.add_tokens([f"added{i}" for i in range(len(model.get_input_embeddings().weight))])
    foreign.check_runs("x", model, tokenizer)
    model.resize_token_embeddings(tokenizer.vocab_size - 1)
    with pytest.raises(ModelError, match="give the model its own tokenizer"):
        foreign.check_runs("x", model, tokenizer)


def test_a_tokenizer_that_cannot_be_used_is_refused(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = {"rope_type": "x"}
    with pytest.raises(ModelError, match="x: the tokenizer cannot be used"):
        foreign.check_runs("x", tiny_model("llama"), tokenizer)


def test_an_adapter_as_it_is_meant(folder: Path, tmp_path: Path) -> None:
    assert load_model(adapter(tmp_path / "named", folder)).base == str(folder)
    assert load_model(adapter(tmp_path / "pattern", folder, target_modules=r".*\.q_pr[o]j")).base == str(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"target_modules": r"((([a-z._0-9]+)+)+)+\$"},
        {"target_modules": ["q_proj"], "exclude_modules": r"((([a-z._0-9]+)+)+)+\$"},
        {"rank_pattern": {r"((([a-z._0-9]+)+)+)+\$": 2}},
        {"alpha_pattern": {r"((([a-z._0-9]+)+)+)+\$": 2}},
    ],
    ids=str,
)
def test_a_pattern_that_does_not_end_is_ended(
    folder: Path, tmp_path: Path, values: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "SECONDS", 0.5)
    path, began = adapter(tmp_path / "adapter", folder, **values), time.monotonic()
    with pytest.raises(ModelError, match=r"adapter_config\.json: the pattern in \w+ does not end within 0\.5 s"):
        load_model(path)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "[z-a]"])
def test_what_is_no_pattern_is_told(folder: Path, tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ModelError, match=r"adapter_config\.json: target_modules is not a pattern"):
        load_model(adapter(tmp_path / "adapter", folder, target_modules=pattern))


def test_a_parameter_that_the_model_lacks_is_told(folder: Path, tmp_path: Path) -> None:
    made = adapter(tmp_path / "made", folder, target_parameters=["mlp.experts.gate_up_proj"])
    with pytest.raises(ModelError, match=r"the model has no parameter mlp\.experts\.gate_up_proj"):
        load_model(made)


@pytest.mark.parametrize(
    "values",
    [{"trainable_token_indices": "x"}, {"trainable_token_indices": 3}, {"rank_pattern": 3}, {"alpha_pattern": [1]}],
)
def test_a_value_of_another_kind_is_told_in_one_line(folder: Path, tmp_path: Path, values: dict[str, object]) -> None:
    made = adapter(tmp_path / "made", folder, **values)
    with pytest.raises(ModelError, match=r"made: (the adapter cannot be loaded|this adapter cannot be put on)"):
        load_model(made)


def test_of_an_adapter_nothing_is_missing_and_nothing_left_out(folder: Path, tmp_path: Path) -> None:
    file = adapter(tmp_path / "adapter", folder) / "adapter_model.safetensors"
    whole = load_file(file)
    first = sorted(whole)[0]
    save_file({key: tensor for key, tensor in whole.items() if key != first}, file)
    with pytest.raises(ModelError, match="only 3 of 4 tensors of this adapter and of the model fit each other"):
        load_model(file.parent)
    save_file({**whole, first.replace("q_proj", "zz"): whole[first].clone()}, file)
    with pytest.raises(ModelError, match=r"only 4 of 5 tensors of this adapter and of the model fit each other, .*zz"):
        load_model(file.parent)
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match="tensors of this adapter and of the model fit each other"):
        load_model(file.parent)


def test_adapters_that_stand_on_each_other_are_told_in_one_line(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    adapter(one, two), adapter(two, one), adapter(tmp_path / "own", tmp_path / "own")
    for path in (one, two, tmp_path / "own"):
        with pytest.raises(ModelError, match="it is its own base") as error:
            load_model(path)
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize("dtype", [1000000, "nn", "float7"])
def test_a_precision_that_is_none_is_told(folder: Path, dtype: object) -> None:
    changed(folder / "config.json", dtype=dtype)
    with pytest.raises(ModelError, match=r"config\.json: the dtype is |cannot be loaded"):
        load_model(folder)


def test_weights_in_8_bits_ask_for_a_precision() -> None:
    with pytest.raises(ModelError, match="stored in float8_e4m3fn, which is not computed in; write dtype: float32"):
        settled("auto", torch.float8_e4m3fn)
    assert settled("float32", torch.float8_e4m3fn).dtype == "float32"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_beams", 0),
        ("num_beams", 10**6),
        ("num_beams", 2.5),
        ("eos_token_id", "x"),
        ("eos_token_id", 1.5),
        ("eos_token_id", [1, {}]),
        ("max_time", 0.1),
        ("repetition_penalty", 0),
        ("bad_words_ids", "x"),
        ("suppress_tokens", "x"),
        ("sequence_bias", 3),
        ("stop_strings", 3),
        ("penalty_alpha", 0.6),
        ("forced_eos_token_id", 99999),
        ("min_length", "x"),
        ("token_healing", True),
    ],
)
def test_settings_that_no_answer_can_be_written_with_are_refused(folder: Path, key: str, value: object) -> None:
    changed(folder / "generation_config.json", **{key: value, "top_k": 4})
    with pytest.raises(ModelError, match=r"generation_config\.json: |cannot be loaded") as raised:
        load_model(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "settings", [{"num_beams": 4}, {"repetition_penalty": 1.05, "temperature": 0.7}, {"eos_token_id": [1, 2]}]
)
def test_settings_that_models_come_with_are_taken(folder: Path, settings: dict) -> None:
    changed(folder / "generation_config.json", **settings)
    taken = load_model(folder).model.generation_config
    assert {key: getattr(taken, key) for key in settings} == settings


def test_a_model_whose_scores_are_no_numbers_is_refused(folder: Path) -> None:
    changed(folder / "config.json", rope_parameters={"rope_theta": -5.0, "rope_type": "default"})
    with pytest.raises(ModelError, match=r"the model's model\.rotary_emb\.inv_freq are not numbers"):
        load_model(folder)


def test_a_tokenizer_that_gives_up_is_refused(folder: Path) -> None:
    single = [{"SpecialToken": {"id": "<nosuch>", "type_id": 0}}]
    post = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}}
    changed(folder / "tokenizer.json", post_processor=post)
    with pytest.raises(ModelError, match=r"the tokenizer cannot be used|cannot be loaded"):
        load_model(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.int64])
def test_weights_that_are_no_numbers_with_a_point_are_refused(folder: Path, kind: torch.dtype) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if "q_proj" in name)
    save_file(weights | {name: weights[name].to(kind)}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"model\.safetensors: {name} is stored as (I8|BOOL|I64)"):
        load_model(folder)
    save_file(weights | {"model.layers.0.mask": torch.ones(2).to(kind)}, file, metadata={"format": "pt"})
    load_model(folder)  # a mask or positions beside them are fine


def test_a_scale_of_positions_that_is_nothing_is_refused(folder: Path) -> None:
    changed(folder / "config.json", rope_parameters={"rope_type": "linear", "factor": 0.0, "rope_theta": 10000.0})
    with pytest.raises(ModelError, match="not numbers"):
        load_model(folder)
