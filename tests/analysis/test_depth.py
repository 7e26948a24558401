"""The unlearning depth score: figures of the authors' code on tiny models, and one model by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from forgetting.analysis import ANALYSES, Compared, depth
from forgetting.analysis.depth import Falls, falls, scores
from forgetting.core.errors import ModelError
from forgetting.data.encode import Encoded
from forgetting.models.view import View
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, models
from tests.golden import golden

GOLDEN = golden("uds")
FIGURES = GOLDEN["figures"]
FULL, ORACLE, UNLEARNED = "full", "retain", "unlearned"


@pytest.fixture(scope="module")
def tiny() -> dict[str, LlamaForCausalLM]:
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=31,
        tie_word_embeddings=False,
    )
    empty = LlamaForCausalLM(config).double().eval()

    def drawn(seed: int) -> dict[str, torch.Tensor]:
        rs = np.random.RandomState(seed)
        weights = {}
        for name, p in sorted(empty.named_parameters()):
            noise = rs.randn(*p.shape)
            weights[name] = torch.from_numpy(1 + 0.1 * noise if p.ndim == 1 else 0.4 * noise)
        return weights

    one, two, three = drawn(7), drawn(8), drawn(9)
    made = {
        FULL: one,
        ORACLE: {n: 0.65 * one[n] + 0.35 * two[n] for n in one},
        UNLEARNED: {n: 0.95 * (0.8 * one[n] + 0.2 * two[n]) + 0.05 * three[n] for n in one},
    }
    found = {}
    for name, weights in made.items():
        found[name] = copy.deepcopy(empty)
        found[name].load_state_dict(weights)
    return found


def row(context: dict[str, Any]) -> Encoded:
    """The tokens that the states of the patched positions predict are the answer."""
    ids = (*context["prompt_ids"], *context["ref_ids"])
    answer = range(context["patch_start"] + 1, context["patch_end"] + 1)
    return Encoded("", ids, tuple(float(n in answer) for n in range(len(ids))))


ROWS = [row(context) for context in GOLDEN["_inputs"]["contexts"]]


def test_a_row_holds_the_tokens_of_the_reference() -> None:
    assert [list(r.target_ids) for r in ROWS] == [c["eval_ref_ids"] for c in GOLDEN["_inputs"]["contexts"]]


def test_falls_are_those_of_the_reference(tiny: dict[str, LlamaForCausalLM]) -> None:
    views = {name: View(model) for name, model in tiny.items()}
    found = falls(views[FULL], views[ORACLE], views[UNLEARNED], ROWS, pad_id=0)
    first = np.array(FIGURES["delta_stage1 (retain -> full), rows x layers"])
    second = np.array(FIGURES["delta_stage2 (unlearned -> full)"])
    assert np.abs(found.oracle_LN[:2].T - first[:, :2]).max() < 1e-5
    assert np.abs(found.after_LN[:2].T - second[:, :2]).max() < 1e-5
    # The reference puts the normed state into the last layer, and gives the figure of the other beside it.
    own = np.array(FIGURES["full_score (mean log p of the entity tokens)"])
    assert own - found.oracle_LN[2] == pytest.approx(FIGURES["stage1_last_layer_with_raw_output"], abs=1e-5)
    assert np.abs(found.oracle_LN[2] - first[:, 2]).max() > 0.05


def test_a_models_own_states_change_nothing_in_any_layer(tiny: dict[str, LlamaForCausalLM]) -> None:
    views = {name: View(model) for name, model in tiny.items()}
    found = falls(views[FULL], views[ORACLE], views[FULL], ROWS, pad_id=0)
    assert np.abs(found.after_LN).max() == 0.0
    assert scores(found) == [0.0] * len(ROWS)
    assert scores(Falls(found.oracle_LN, found.oracle_LN)) == pytest.approx([1.0] * len(ROWS))


def test_scores_are_those_of_the_reference() -> None:
    first = np.array(FIGURES["delta_stage1 (retain -> full), rows x layers"]).T
    second = np.array(FIGURES["delta_stage2 (unlearned -> full)"]).T
    found = scores(Falls(first, second), GOLDEN["_inputs"]["tau"])
    assert found == pytest.approx(FIGURES["uds_rows"], rel=1e-9)
    assert np.mean(found) == pytest.approx(FIGURES["uds (mean of the rows that have one)"], rel=1e-9)


def test_only_layers_that_hold_the_fact_count_and_more_than_the_oracle_lacks_is_one() -> None:
    found = Falls(np.array([[0.04, 1.0, 0.0], [0.01, 3.0, 0.5]]), np.array([[9.0, 2.0, 1.0], [9.0, -1.0, 0.2]]))
    assert scores(found) == pytest.approx([None, 0.25, 0.4])
    assert scores(found, 0.0)[0] == 1.0


def test_measures_of_a_run_are_those_of_each_example_and_batches_make_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after, _, changed = models()
    oracle = copy.deepcopy(changed).merge_and_unload()
    for n, p in enumerate(oracle.parameters()):
        p.data += 0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(n))
    compared = Compared(before=before, after=after, oracle=View(oracle), tokenizer=TOKENIZER, examples=EXAMPLES)
    found = depth.depth(least=0.001)(compared)
    assert {m.key for m in found.measures} == {"forget/uds", "retain/uds"}
    assert {s.name for s in found.series} >= {"forget, oracle", "forget, after"}
    (score,) = (m for m in found.measures if m.key == "forget/uds")
    assert score.value is not None and 0 < score.value < 1 and score.low is not None and score.count == 3
    monkeypatch.setattr(depth, "BATCH_TOKENS", 8)
    monkeypatch.setattr(depth, "ENOUGH_TOKENS", 8)
    alone = depth.depth(least=0.001)(compared)
    assert [m.value for m in alone.measures] == pytest.approx([m.value for m in found.measures], abs=1e-4)
    same = ANALYSES.build("depth")(replace(compared, oracle=before))
    assert same.measures[0].value is None and "no layer holds" in same.measures[0].reason


def test_what_it_cannot_read_is_refused(tiny: dict[str, LlamaForCausalLM]) -> None:
    before, after, plain, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    with pytest.raises(ModelError, match="needs an oracle"):
        ANALYSES.build("depth")(compared)
    with pytest.raises(ModelError, match="not from the oracle"):
        ANALYSES.build("depth")(replace(compared, oracle=View(plain), against="oracle"))
    with pytest.raises(ModelError, match="compare models of one shape"):
        ANALYSES.build("depth")(replace(compared, oracle=View(tiny[ORACLE])))
    with pytest.raises(ValueError, match="least is -1"):
        depth.depth(-1)
