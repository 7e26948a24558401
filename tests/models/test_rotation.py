"""Rotary frequencies that follow a forward's length: no sequence sees its neighbours' lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.rotation import sequence_lengths

_LONG = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [1.5, 2.0, 4.0, 8.0]}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "longrope": ("phi3", {**_LONG, "original_max_position_embeddings": 8}),
    "longrope by its own code": (
        "phimoe",
        {**_LONG, "original_max_position_embeddings": 8, "short_mscale": 1.0, "long_mscale": 1.3},
    ),
    "dynamic": ("llama", {"rope_type": "dynamic", "factor": 4.0}),
}


def _model(kind: str) -> PreTrainedModel:
    family, rope = KINDS[kind]
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=8 if kind == "dynamic" else 64,
        pad_token_id=0,
        initializer_range=0.3,
        rope_parameters={"rope_theta": 10000.0, **rope},
        **({"num_local_experts": 2, "num_experts_per_tok": 2} if family == "phimoe" else {}),
    )
    config.original_max_position_embeddings = 8
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def _row(length: int) -> Encoded:
    return Encoded("", tuple((7 * i + length) % 50 for i in range(length)), (0.0,) + (1.0,) * (length - 1))


LENGTHS = (5, 20, 8, 12, 9)
"""On both sides of the original length of 8, and at it."""


@torch.no_grad()
def _states(model: PreTrainedModel, rows: list[Encoded], *, packed: bool = False) -> list[torch.Tensor]:
    batch = collate({"": list(enumerate(rows))}, pad_id=0, packed=packed)
    head = head_of(model)
    states_ND = supervised_hidden(
        model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N, batch.position_ids_BT
    )
    return list(states_ND.split([e.supervised for e in rows]))


@torch.no_grad()
def _alone(kind: str, row: Encoded) -> torch.Tensor:
    """The plain model's own output for one row, of a model that has seen nothing before."""
    model = _model(kind)
    inputs = {"input_ids": torch.tensor([row.ids]), "use_cache": False}
    if head_of(model).weight_VD is None:
        return model(**inputs).logits[0, :-1]
    return model.base_model(**inputs).last_hidden_state[0, :-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_every_row_of_a_batch_is_as_it_would_be_alone(kind: str, packed: bool) -> None:
    model, rows = _model(kind), [_row(length) for length in LENGTHS]
    for row, found in zip(rows, _states(model, rows, packed=packed), strict=True):
        torch.testing.assert_close(found, _alone(kind, row), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_as_it_would_be_without_what_ran_before(kind: str) -> None:
    model = _model(kind)
    for length in (20, 12, 5, 9):
        (found,) = _states(model, [_row(length)])
        torch.testing.assert_close(found, _alone(kind, _row(length)), atol=2e-5, rtol=1e-4)


def test_the_short_and_the_long_frequencies_differ() -> None:
    """So that the tests above can fail: a short row that is turned like a long one is another row."""
    model, row = _model("longrope"), _row(5)
    ids = torch.tensor([[*row.ids, *[0] * 15], list(range(20))])
    with torch.no_grad():
        neighboured = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, :4]
    assert (
        neighboured - model.base_model(input_ids=ids[:1, :5], use_cache=False).last_hidden_state[0, :4]
    ).abs().max() > 0.01


def test_lengths_of_sequences_in_padded_and_packed_rows() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    assert sequence_lengths(mask, None).tolist() == [[3, 3, 3, 3], [4, 4, 4, 4]]
    positions = torch.tensor([[0, 1, 0, 1, 2, 0], [0, 1, 2, 3, 0, 0]])
    assert sequence_lengths(torch.ones_like(positions), positions).tolist() == [[2, 2, 3, 3, 3, 1], [4, 4, 4, 4, 1, 1]]
