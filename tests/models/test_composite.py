"""A model that also sees has a config for each part; what is asked of it is the part that reads text."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import BloomConfig, Gemma3Config, Gemma3ForConditionalGeneration, MptConfig

from forgetting.core.cache import Cache
from forgetting.data.encode import Encoded
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.head import embedding_rows, hidden_size, longest_of, longest_row, vocabulary_size
from forgetting.models.hidden_states import decoder_blocks
from forgetting.objectives.losses import kl_from_reference, nll
from forgetting.objectives.objective import Objective, Term
from forgetting.training.row_cost import StageCost
from forgetting.training.row_counts import stage_cost
from forgetting.training.stored_reference import store_reference

ROWS = [Encoded("a", (1, 2, 3, 4), (0.0, 0.0, 1.0, 1.0)), Encoded("b", (5, 6, 7), (0.0, 1.0, 1.0))]


@pytest.fixture
def model() -> Gemma3ForConditionalGeneration:
    text = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0}
    seen = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**seen, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config={**text, **heads}, vision_config=vision, pad_token_id=0, mm_tokens_per_image=1)
    assert not hasattr(config, "vocab_size")
    return Gemma3ForConditionalGeneration(config).eval()


def test_its_sizes_are_those_of_its_text_part(model: Gemma3ForConditionalGeneration) -> None:
    assert (vocabulary_size(model), embedding_rows(model), hidden_size(model), longest_row(model)) == (97, 97, 32, 128)
    blocks = decoder_blocks(model, (0, 1))
    assert blocks == {0: model.get_decoder().layers[0], 1: model.get_decoder().layers[1]}


def test_its_cost_is_counted_without_what_sees(model: Gemma3ForConditionalGeneration) -> None:
    adapted = attach(model, AdapterSpec(rank=2), name="s", seed=0)
    cost = stage_cost(adapted, Objective(Term("forget", nll)), {"forget": ROWS})
    assert isinstance(cost, StageCost), cost


def test_the_whole_distribution_of_its_reference_is_stored(
    model: Gemma3ForConditionalGeneration, tmp_path: Path
) -> None:
    said: list[str] = []
    objective = Objective(Term("retain", kl_from_reference))
    store_reference(model, objective, {"retain": ROWS}, Cache(tmp_path), pad_id=0, say=said.append)
    assert said[0].startswith("reference: 4 tokens, 0.0 MiB on disk")


def test_positions_go_by_more_than_one_name() -> None:
    assert longest_of(MptConfig(max_seq_len=64)) == 64
    assert longest_of(BloomConfig()) is None
