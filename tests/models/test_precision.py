"""The precision of weights is chosen by one rule, said, and safe: small steps are kept and slow units avoided."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.models.loading import load_model, save_model
from forgetting.models.precision import settled, stored_dtype
from tests.models.tiny import tiny_model, tiny_tokenizer

BF16 = torch.bfloat16


def units(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True), raising=False)


@pytest.mark.parametrize(
    ("asked", "stored", "trains_all", "able", "expected"),
    [
        ("auto", BF16, False, ("avx512_bf16",), "bfloat16"),
        ("auto", BF16, False, ("amx_bf16",), "bfloat16"),
        ("auto", BF16, False, ("avx2", "avx512_f"), "float32"),
        ("auto", BF16, True, ("avx512_bf16",), "float32"),
        ("auto", torch.float16, False, ("avx512_bf16",), "float32"),
        ("auto", torch.float16, False, ("avx512_fp16",), "float16"),
        ("auto", torch.float32, True, (), "float32"),
        ("auto", torch.float64, True, (), "float64"),
        ("bfloat16", torch.float32, False, (), "bfloat16"),
        ("bfloat16", BF16, True, (), "bfloat16"),
        ("float32", BF16, False, ("amx_bf16",), "float32"),
        ("auto", None, False, (), "float32"),
    ],
)
def test_the_rule(
    asked: str,
    stored: torch.dtype | None,
    trains_all: bool,
    able: tuple[str, ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    units(monkeypatch, *able)
    assert settled(asked, stored, trains_all=trains_all).dtype == expected


def test_it_is_said_what_was_taken_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    units(monkeypatch)
    assert str(settled("auto", BF16)) == ("precision: float32 (stored in bfloat16, which this device computes slowly)")
    assert str(settled("auto", BF16, trains_all=True)) == (
        "precision: float32 (stored in bfloat16, which would lose small steps of training all weights)"
    )
    assert "their small steps are lost: write dtype: float32" in str(settled("float16", BF16, trains_all=True))
    with pytest.raises(ModelError, match="dtype 'bfloat61' is not known; did you mean 'bfloat16'"):
        settled("bfloat61", BF16)


def test_a_model_is_loaded_by_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tiny_model("llama", dtype=BF16), tiny_tokenizer(), tmp_path / "m")
    units(monkeypatch, "avx512_bf16")
    assert load_model(tmp_path / "m").model.dtype == BF16
    whole = load_model(tmp_path / "m", trains_all=True)
    assert (whole.model.dtype, whole.precision.stored) == (torch.float32, "bfloat16")
    units(monkeypatch)
    assert load_model(tmp_path / "m").model.dtype == torch.float32


def test_a_config_that_does_not_say_leaves_it_to_the_weights(tmp_path: Path) -> None:
    save_model(tiny_model("llama", dtype=BF16), tiny_tokenizer(), tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "bfloat16",', ""))
    assert stored_dtype(str(tmp_path / "m")) == BF16


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(value: float, tmp_path: Path) -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = value
        model.model.norm.weight[0] = value
    save_model(model, tiny_tokenizer(), tmp_path / "m")
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "m")
    assert str(error.value) == (
        f"{tmp_path / 'm'}: 2 of 21 weights hold NaN or infinity, the first is model.layers.1.mlp.up_proj.weight; "
        "the model is damaged, give another or save it again"
    )
