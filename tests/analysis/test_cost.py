"""What analyses cost is counted from sizes alone: by hand for one, at 8B without its weights, and more for more."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from forgetting.analysis import ANALYSES
from forgetting.analysis.cost import Cost, Known, Rows, Shape, Work
from forgetting.core.example import Example
from forgetting.data.formatting import Formatting
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER
from tests.models.tiny import tiny_model

ROWS = Rows((24,) * 400, (6,) * 400, 400, (3,) * 400)


@pytest.fixture(scope="module")
def large() -> Shape:
    """8B on paper."""
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "vocab_size": 128_256}
    config = LlamaConfig(**sizes, num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False)
    with torch.device("meta"):
        return Shape.of(AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16))


def cost(name: str, known: Known, **parameters: object) -> Cost:
    entry = ANALYSES.get(name)
    found = entry.settings["cost"](known, {**{k: p.default for k, p in entry.parameters.items()}, **parameters})
    assert isinstance(found, Cost)
    return found


def test_the_sizes_of_8b_are_read_without_its_weights(large: Shape) -> None:
    block = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336
    assert (large.layers, large.width, large.vocabulary, large.itemsize) == (32, 4096, 128_256, 2)
    assert large.entries == 32 * block and large.largest == 4096 * 14336
    assert sum(out * inner for out, inner in large.attended) == 32 * (4096 * 4096 + 2 * 4096 * 1024)
    assert large.copied == 2 * 128_256 * 4096


def test_a_lens_is_a_forward_of_each_model_and_all_layers_through_the_head(large: Shape) -> None:
    found = cost("lens", Known(large, {"forget": ROWS}, views=3)).work
    assert found.forward == 3 * 2 * large.entries * 400 * 24
    assert found.logits == 3 * 32 * 400 * 6 * 128_256
    assert found.drawn == 3 * 34 * 2000 * 400 and found.double == 0


def test_every_analysis_of_the_package_says_what_it_costs_and_twice_the_examples_cost_more(large: Shape) -> None:
    few, many = (Known(large, {"forget": replace_rows(count)}) for count in (40, 80))
    for entry in ANALYSES.entries():
        less, more = cost(entry.name, few), cost(entry.name, many)
        assert 0 < less.bytes <= more.bytes
        if entry.name != "weights":
            assert sum(less.work.seconds(ONES).values()) < sum(more.work.seconds(ONES).values())


def test_a_thin_change_costs_less_than_one_of_all_weights(large: Shape) -> None:
    thin, whole = (cost("weights", Known(large, {"forget": ROWS}, thin=rank)).work for rank in (16, 0))
    assert 0 < thin.double < whole.double / 100


def test_a_row_of_each_token_costs_as_many_passes(large: Shape) -> None:
    known = Known(large, {"forget": ROWS})
    of_sums, of_tokens = (cost("sensitivity", known, reading=r).work for r in ("sequence_sum", "token"))
    assert of_tokens.alone == 6 * of_sums.alone and of_tokens.entries == 6 * of_sums.entries


def test_costs_follow_one_another() -> None:
    found = Cost(Work(forward=1.0, drawn=2.0), 5.0).then(Cost(Work(forward=3.0) * 2, 4.0))
    assert found == Cost(Work(forward=7.0, drawn=2.0), 5.0)
    assert found.work.seconds(Work(forward=2.0, drawn=10.0))["drawn"] == 20.0


def test_rows_are_counted_as_they_are_encoded() -> None:
    some = [*EXAMPLES["forget"], Example(id="o", prompt="a", response="cat", perturbed=("dog", "bird"))]
    rows = Rows.of(some, TOKENIZER, Formatting())
    assert rows.count == 10 and rows.clusters == 6 and rows.offered == (2,)
    assert rows.answered < rows.tokens and rows.first(2).lengths == rows.lengths[:2]
    padded, answered = rows.batch()
    assert rows.tokens <= padded and answered == rows.answered
    assert Shape.of(tiny_model("llama")).itemsize == 4


ONES = Work(*(1e-9 for _ in Work.__dataclass_fields__))


def replace_rows(count: int) -> Rows:
    return replace(ROWS, lengths=(24,) * count, supervised=(6,) * count, clusters=count, offered=(3,) * count)
