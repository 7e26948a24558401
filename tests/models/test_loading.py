"""Models come from a folder as they are, and whatever is wrong with one is said in a line."""

import json
from pathlib import Path

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.core.folder import MARK
from forgetting.models.adapters import AdapterSpec, attach, save_adapter
from forgetting.models.loading import load_model, save_model
from tests.models.adapters.stages import logits, stir, worst
from tests.models.tiny import FAMILIES, tiny_model, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tiny_model("llama"), tiny_tokenizer(chat_template="{{ messages[0].content }}!"), tmp_path / "my-model")
    return tmp_path / "my-model"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_comes_back_the_same(family: str, tied: bool, tmp_path: Path) -> None:
    model = tiny_model(family, tied=tied)
    save_model(model, tiny_tokenizer(), tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert not loaded.model.training
    assert worst(logits(loaded.model), logits(model)) <= 1e-5
    assert loaded.source == str(tmp_path / "model") and loaded.base is None


def test_the_folder_holds_safetensors_and_the_chat_template(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert "model.safetensors" in names and not any(name.endswith((".bin", ".pt", ".pth")) for name in names)
    tokenizer = load_model(folder).tokenizer
    assert tokenizer.apply_chat_template([{"role": "user", "content": "the cat"}], tokenize=False) == "the cat!"


@pytest.mark.parametrize(("dtype", "expected"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_precision_is_as_stored_or_as_asked(folder: Path, dtype: str, expected: torch.dtype) -> None:
    assert load_model(folder, dtype=dtype).model.dtype == expected


def test_an_unknown_precision_is_told(folder: Path) -> None:
    with pytest.raises(ModelError, match="dtype 'bfloat61' is not known; did you mean 'bfloat16'"):
        load_model(folder, dtype="bfloat61")


def test_a_missing_folder_points_to_its_nearest_sibling(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ModelError, match=r"^\./my-modle: no such model folder; did you mean 'my-model'\?$"):
        load_model("./my-modle")
    with pytest.raises(ModelError, match=r"no such model folder; give a folder with config\.json"):
        load_model("./nowhere/at/all")


def test_a_folder_without_a_model_is_told(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json in this folder"):
        load_model(folder.parent)
    with pytest.raises(ModelError, match="a file, not a model folder"):
        load_model(folder / "config.json")


def test_pickled_weights_are_not_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / MARK).unlink()
    torch.save(tiny_model("llama").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \*\.safetensors in this folder; pickled weights are not read"):
        load_model(folder)


def test_a_cut_off_weight_file_is_told(folder: Path) -> None:
    (folder / MARK).unlink()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="my-model: the model cannot be loaded: "):
        load_model(folder)


def test_weights_that_are_missing_are_not_made_up(folder: Path) -> None:
    (folder / MARK).unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"weights are missing, the first is model\.layers\.2\."):
        load_model(folder)


def test_a_broken_config_is_told(folder: Path) -> None:
    (folder / MARK).unlink()
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="my-model: the model cannot be loaded: "):
        load_model(folder)


def test_a_missing_tokenizer_is_told(folder: Path) -> None:
    (folder / MARK).unlink()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="my-model: the tokenizer cannot be loaded: "):
        load_model(folder)


def test_without_a_pad_token_rows_are_filled_with_the_end_token(tmp_path: Path) -> None:
    model = tiny_model("llama")
    save_model(model, tiny_tokenizer(pad=False), tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.pad_id == 2
    assert loaded.tokenizer.pad_token is None
    assert loaded.model.get_input_embeddings().weight.shape == model.get_input_embeddings().weight.shape


def test_with_neither_pad_nor_end_token_the_tokenizer_is_refused(tmp_path: Path) -> None:
    save_model(tiny_model("llama"), tiny_tokenizer(pad=False, eos=False), tmp_path / "m")
    with pytest.raises(ModelError, match="no pad and no end token; set eos_token"):
        load_model(tmp_path / "m")


def test_a_tokenizer_of_another_model_is_noticed(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(pad=False)
    tokenizer.add_special_tokens({"eos_token": "<|stop|>"})
    save_model(tiny_model("llama"), tokenizer, tmp_path / "m")
    with pytest.raises(ModelError, match="end token's id 97 is beyond the model's 97 embeddings"):
        load_model(tmp_path / "m")


def test_an_adapter_folder_is_loaded_on_its_base(folder: Path, tmp_path: Path) -> None:
    base = load_model(folder)
    model = attach(base.model, AdapterSpec(rank=3), name="first", seed=0)
    stir(model)
    expected = logits(model)
    save_adapter(model, base.tokenizer, tmp_path / "adapter")
    loaded = load_model(tmp_path / "adapter")
    assert torch.equal(logits(loaded.model), expected)
    assert loaded.base == str(folder) and not loaded.merged
    assert not any(p.requires_grad for p in loaded.model.parameters())


def test_an_adapter_whose_base_is_gone_names_both(folder: Path, tmp_path: Path) -> None:
    base = load_model(folder)
    save_adapter(attach(base.model, AdapterSpec(rank=3), name="x1", seed=0), base.tokenizer, tmp_path / "adapter")
    folder.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match=r"adapter: its base model cannot be loaded: .*my-model: no such model folder"):
        load_model(tmp_path / "adapter")


def test_a_model_with_adapters_is_not_saved_without_them(folder: Path, tmp_path: Path) -> None:
    model = attach(tiny_model("llama"), AdapterSpec(rank=3), name="x1", seed=0)
    with pytest.raises(ModelError, match="the model has adapters"):
        save_model(model, tiny_tokenizer(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_lacks_the_models_end_is_another_models(tmp_path: Path) -> None:
    save_model(tiny_model("llama", vocab=97, eos_token_id=80), tiny_tokenizer(vocab=60), tmp_path / "mixed")
    with pytest.raises(ModelError, match="ends texts with token 80, which the tokenizer, of 60 tokens, does not have"):
        load_model(tmp_path / "mixed")
