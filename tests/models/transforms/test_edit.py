"""The edit: its closed form against plain algebra in float64, and what it does to models of three families."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from forgetting.core.errors import ModelError, RecipeError
from forgetting.data.encode import Encoded
from forgetting.models.adapters.targets import out_in
from forgetting.models.transforms import Given, build_transform
from forgetting.models.transforms.closed_form import solved, span_of, without_span
from forgetting.models.transforms.places import Places, last_matrix
from tests.models.tiny import tiny_model, tiny_tokenizer

OUT, IN, EDITS = 5, 12, 4


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def keys() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs to keep, to edit, what is missing of the outputs, and the projector on what is not kept."""
    kept_Fm = drawn(IN, 6, seed=1) @ torch.diag(torch.tensor([4.0, 3, 2, 1, 1e-3, 1e-3], dtype=torch.float64))
    span = span_of(kept_Fm @ kept_Fm.T, 0.99)
    assert span.shape == (IN, 3)
    return kept_Fm, drawn(IN, EDITS, seed=2), drawn(OUT, EDITS, seed=3), torch.eye(IN).double() - span @ span.T


def test_the_change_is_that_of_alphaedit_with_its_explicit_inverse() -> None:
    kept, edited, missing, projector = keys()
    outside = without_span(edited, span_of(kept @ kept.T, 0.99))
    damping = 0.3
    ridge = damping * float(outside.square().sum(0).mean())
    expected = (
        missing @ edited.T @ projector @ (edited @ edited.T @ projector + ridge * torch.eye(IN).double()).inverse()
    )
    torch.testing.assert_close(solved(missing, outside, damping), expected @ projector, rtol=1e-9, atol=1e-11)


def test_no_other_change_costs_less() -> None:
    _, edited, missing, projector = keys()
    outside, ridge = projector @ edited, 0.3 * float((projector @ edited).square().sum(0).mean())
    change = solved(missing, outside, 0.3)

    def cost(delta: Tensor) -> float:
        return float((delta @ outside - missing).square().sum() + ridge * delta.square().sum())

    for seed in range(20):
        assert cost(change) < cost(change + 1e-3 * drawn(OUT, IN, seed=seed))


def test_kept_directions_are_left_alone_and_undamped_edits_are_exact() -> None:
    kept, edited, missing, projector = keys()
    change = solved(missing, projector @ edited, 0.0)
    torch.testing.assert_close(change @ edited, missing, rtol=1e-8, atol=1e-9)
    span = span_of(kept @ kept.T, 0.99)
    assert float((change @ span).abs().max()) < 1e-12
    twice = (projector @ edited)[:, [0, 1, 2, 3, 0]]  # one question twice: the system is singular
    torch.testing.assert_close(solved(missing[:, [0, 1, 2, 3, 0]], twice, 0.0), change, rtol=1e-6, atol=1e-8)
    assert not solved(missing, torch.zeros(IN, EDITS).double(), 0.1).any()


def question(n: int, length: int) -> Encoded:
    ids = tuple((11 * n + 5 * i) % 80 + 4 for i in range(length))
    return Encoded(f"q{n}", ids, (*[0.0] * (length - 2), 1.0, 1.0))


def given(said: list[str] | None = None) -> Given:
    data = {"forget": [question(n, 6 + n % 3) for n in range(5)], "retain": [question(n + 20, 9) for n in range(3)]}
    return Given(0, 0, data, tokenizer=tiny_tokenizer(), say=(said if said is not None else []).append)


def led(model: Any, row: Encoded) -> int:
    """The next token after a question, by transformers alone."""
    with torch.no_grad():
        return int(model(torch.tensor([row.ids[: len(row.ids) - 2]])).logits[0, -1].argmax())


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi"])
def test_questions_lead_to_the_token_and_only_the_last_matrices_change(family: str) -> None:
    model = tiny_model(family, head_scale=0.3)
    before, said, own = copy.deepcopy(model), list[str](), given()
    token = "w60"
    target = own.token_id(token, "edit")
    asked = given(said)
    parameters = {"token": token, "layers": [0, 1], "share": 0.5, "damping": 1e-4, "steps": 200, "reach": 10.0}
    edited = build_transform("edit", parameters).apply(model, asked)
    assert [led(before, row) for row in asked.data["forget"]].count(target) == 0
    assert [led(edited, row) for row in asked.data["forget"]] == [target] * 5
    assert said == [f"edit: of 5 questions, 0 led to {token} before and 5 do now"]
    changed = {n for n, p in edited.named_parameters() if not torch.equal(p, before.get_parameter(n))}
    wanted = {id(last_matrix(edited, layer).weight) for layer in (0, 1)}
    assert changed == {n for n, p in edited.named_parameters() if id(p) in wanted}
    assert all(p.requires_grad for p in edited.parameters())


def test_the_edited_layer_gives_the_sought_state_and_kept_inputs_their_outputs() -> None:
    model, own = tiny_model("llama", head_scale=0.3), given()
    places = Places(model, own, 1)
    matrix = last_matrix(model, 1)
    moved = places.displacements(own.token_id("w60", "edit"), 50, 0.1, 3.0)
    limit = 3.0 * places.states().norm(dim=-1)
    assert (moved.norm(dim=-1) <= limit * (1 + 1e-5)).all() and (moved.norm(dim=-1) > 0).all()
    span, old = span_of(places.covariance(matrix), 0.4), out_in(matrix, matrix.weight).detach().clone()
    torch.manual_seed(0)
    found = build_transform(
        "edit", {"token": "w60", "layers": [1], "share": 0.4, "damping": 0.0, "steps": 50, "reach": 3.0}
    ).apply(model, own)
    change = (out_in(matrix, matrix.weight) - old).detach().double()
    assert float((change @ span).abs().max()) < 1e-5 * float(change.abs().max())
    torch.testing.assert_close(Places(found, own, 1).states(), places.states(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"token": ""}, "token is ''; it must be a token"),
        ({"token": "w60", "layers": []}, r"layers is \[\]; write a list of blocks"),
        ({"token": "w60", "share": 1.5}, "share is 1.5; it must be a number from 0 to 1"),
        ({"token": "w60", "damping": -1}, "damping is -1; it must be a number from 0"),
        ({"token": "w60", "steps": 0}, "steps is 0; it must be a whole number"),
        ({"token": "w60", "reach": 0}, "reach is 0; it must be a positive number"),
        ({"token": "w60", "reach": float("nan")}, "reach is nan; it must be a positive number"),
    ],
)
def test_values_without_a_meaning_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        build_transform("edit", parameters)


def test_an_unknown_token_a_missing_layer_and_a_document_are_refused() -> None:
    with pytest.raises(ModelError, match="edit: the tokenizer has no token 'w600'; did you mean 'w60'"):
        build_transform("edit", {"token": "w600"}).apply(tiny_model("llama"), given())
    with pytest.raises(RecipeError, match="layer 7: the model has 2 decoder blocks"):
        build_transform("edit", {"token": "w60", "layers": [7]}).apply(tiny_model("llama"), given())
    document = Encoded("doc", (4, 5, 6), (0.0, 1.0, 1.0))
    own = Given(0, 0, {"forget": [document], "retain": [document]}, tokenizer=tiny_tokenizer())
    with pytest.raises(ModelError, match="the forget row doc has no question to edit"):
        build_transform("edit", {"token": "w60"}).apply(tiny_model("llama"), own)
