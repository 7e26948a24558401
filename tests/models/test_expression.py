"""Expressions name models and combinations of models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.models.adapters import AdapterSpec, attach, save_adapter
from forgetting.models.composed import ComposedModel
from forgetting.models.expression import Term, load_expression, terms_of
from forgetting.models.head import members_of
from forgetting.models.loading import load_model, save_model
from tests.models.tiny import tiny_model, tiny_tokenizer


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("lab", [(1, "lab")]),
        ("org/gpt-neo-125m", [(1, "org/gpt-neo-125m")]),
        ("lab + 0.5*runs/gd - 0.5*lab", [(1, "lab"), (0.5, "runs/gd"), (-0.5, "lab")]),
        ("2*lab", [(2, "lab")]),
        ("-1 * a-b + 1e-1 * c+d", [(-1, "a-b"), (0.1, "c+d")]),
        ("a - b", [(1, "a"), (-1, "b")]),
    ],
)
def test_the_terms_of_an_expression(expression: str, terms: list[tuple[float, str]]) -> None:
    assert terms_of(expression) == tuple(Term(factor, model) for factor, model in terms)


@pytest.mark.parametrize("expression", ["", "lab +", "lab + + x", "lab*2*x", "1.2.3*lab", "0.5*", "+ lab", "1e999*lab"])
def test_what_is_no_expression_is_one_line(expression: str) -> None:
    with pytest.raises(ModelError, match="write a combination like") as caught:
        terms_of(expression)
    assert "\n" not in str(caught.value)


def test_a_folder_of_that_very_name_is_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a - b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert terms_of("a - b") == (Term(1.0, "a - b"),)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """`base`, an adapter of it in `tuned`, and `other` with another vocabulary."""
    save_model(tiny_model("llama"), tiny_tokenizer(), tmp_path / "base")
    save_model(tiny_model("llama", vocab=60), tiny_tokenizer(vocab=60), tmp_path / "other")
    for seed, name in enumerate(("tuned", "again")):
        torch.manual_seed(seed)
        adapted = attach(load_model(tmp_path / "base").model, AdapterSpec(rank=2), name="b", seed=seed)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
        save_adapter(adapted, tiny_tokenizer(), tmp_path / name)
    return {path.name: str(path) for path in tmp_path.iterdir()}


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(3, 20)[None]).logits


def test_an_adapter_is_a_view_of_its_base_and_the_sum_is_that_of_its_terms(folders: dict[str, str]) -> None:
    base, tuned, again = (logits(load_model(folders[name]).model) for name in ("base", "tuned", "again"))
    expression = f"{folders['base']} + 0.5*{folders['tuned']} - 2*{folders['again']} - 0.5*{folders['base']}"
    found = load_expression(expression)
    assert isinstance(found.model, ComposedModel)
    assert [part.coefficient for part in found.model.parts] == [0.5, 0.5, -2]
    assert len(members_of(found.model)) == 1
    assert torch.allclose(logits(found.model), 0.5 * base + 0.5 * tuned - 2 * again, atol=1e-3)
    assert found.source == expression


def test_a_coefficient_of_0_leaves_exactly_the_others(folders: dict[str, str]) -> None:
    found = load_expression(f"{folders['base']} + 0*{folders['tuned']} - 0*{folders['base']}")
    assert torch.equal(logits(found.model), logits(load_model(folders["base"]).model))


def test_a_name_alone_is_the_model_itself(folders: dict[str, str]) -> None:
    assert not isinstance(load_expression(folders["tuned"]).model, ComposedModel)
    doubled = load_expression(f"2*{folders['base']}").model
    assert torch.allclose(logits(doubled), 2 * logits(load_model(folders["base"]).model))


def test_models_of_different_vocabularies_are_both_named(folders: dict[str, str]) -> None:
    with pytest.raises(ModelError, match=r"base and .*other have different vocabularies \(97 and 60 tokens\)"):
        load_expression(f"{folders['base']} + {folders['other']}")
    with pytest.raises(ModelError, match="every coefficient is 0"):
        load_expression(f"0*{folders['base']}")
    with pytest.raises(ModelError, match="nowhere"):
        load_expression(f"{folders['base']} + 0*{folders['base']}-nowhere")
