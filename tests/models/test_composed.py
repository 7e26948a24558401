"""A combination of models: the coefficients times the logits, whatever the families, and views of one model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from forgetting.core.errors import ModelError
from forgetting.models.adapters import AdapterSpec, active_adapters, attach
from forgetting.models.composed import CombinedHead, ComposedModel, Part
from forgetting.models.head import IDENTITY, final_states, head_of, members_of
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import LOGP, RANK, RUNNER_UP
from tests.golden import figures
from tests.models.tiny import tiny_model

GOLDEN = figures("digest")["EFT"]
IDS = torch.tensor([[3, 9, 27, 81, 5, 15, 45], [4, 16, 64, 7, 28, 12, 48]])


def logits(model: torch.nn.Module, ids_BT: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return model(ids_BT).logits


@pytest.mark.parametrize(
    ("beta", "figure"), [(1, "logp_beta_1"), (0, "logp_beta_0"), (-1, "logp_beta_minus_1"), (0.5, "logp_beta_half")]
)
def test_the_figures_of_eft(beta: float, figure: str) -> None:
    r = np.random.default_rng(4)
    large, small, tuned = (torch.from_numpy(r.standard_normal(9)) for _ in range(3))
    head = CombinedHead(None, parts=((1.0, IDENTITY, 9), (beta, IDENTITY, 9), (-beta, IDENTITY, 9)), size=9)
    found = torch.log_softmax(head.logits(torch.cat([large, tuned, small])[None]), -1)
    assert found[0].tolist() == pytest.approx(GOLDEN[figure], abs=1e-12)


@pytest.mark.parametrize(
    "families", [("llama", "gpt2"), ("gemma2", "gemma3"), ("cohere", "granite"), ("gpt_neo", "phi")]
)
def test_the_logits_are_the_weighted_sum_of_those_of_the_models(families: tuple[str, str]) -> None:
    first, second = (tiny_model(family, seed=i, dtype=torch.float64) for i, family in enumerate(families))
    composed = ComposedModel([Part(1.0, first), Part(-0.7, second)])
    expected = logits(first).double() - 0.7 * logits(second).double()
    assert torch.allclose(logits(composed).double(), expected, atol=1e-5)
    targets = torch.arange(14)
    states = final_states(composed, head_of(composed), input_ids=IDS).flatten(0, 1)
    found = statistics(states, head_of(composed), targets, (LOGP, RUNNER_UP, RANK))
    logp = torch.log_softmax(expected.flatten(0, 1), -1)
    own = logp[range(14), targets]
    others = logp.scatter(1, targets[:, None], -torch.inf)
    assert torch.allclose(found["logp"].double(), own, atol=1e-5)
    assert torch.allclose(found["runner_up"].double(), others.max(1).values, atol=1e-5)
    assert torch.equal(found["rank"].long(), (logp > own[:, None]).sum(1))


@pytest.mark.parametrize("beta", [-0.5, 0.5, 1.0, 2.0])
def test_a_small_unlearned_model_steers_a_larger_one_as_in_delta_unlearning(beta: float) -> None:
    """log p ∝ log p_large + β·(log p_unlearned − log p_small), of models of different width and depth, in float64."""
    large = tiny_model("llama", seed=1, dtype=torch.float64, hidden_size=64, num_hidden_layers=3, head_scale=0.3)
    small, unlearned = (tiny_model("gpt2", seed=seed, dtype=torch.float64, head_scale=0.3) for seed in (2, 3))
    composed = ComposedModel([Part(1.0, large), Part(beta, unlearned), Part(-beta, small)])
    own, after, before = (torch.log_softmax(logits(model).double(), -1) for model in (large, unlearned, small))
    weighed = own.exp() * (after.exp() / before.exp()) ** beta
    expected = (weighed / weighed.sum(-1, keepdim=True)).log()
    found = torch.log_softmax(logits(composed).double(), -1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert float((found - own).abs().max()) > 0.05  # the small pair moves the large one


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "gpt_neox"])
def test_a_single_model_is_itself_to_the_bit(family: str) -> None:
    model = tiny_model(family)
    composed = ComposedModel([Part(1.0, model)])
    targets = torch.arange(14)
    one, other = (
        statistics(
            final_states(m, head_of(m), input_ids=IDS).flatten(0, 1), head_of(m), targets, (LOGP, RUNNER_UP, RANK)
        )
        for m in (model, composed)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_base_and_its_adapter_are_views_of_one_model() -> None:
    base = tiny_model("llama", dtype=torch.float64)
    plain = logits(base)
    torch.manual_seed(0)
    adapted = attach(base, AdapterSpec(rank=2), name="b", seed=0)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    tuned = logits(adapted)
    composed = ComposedModel([Part(1.0, adapted), Part(0.5, adapted, ("b",)), Part(-0.5, adapted)])
    assert torch.allclose(logits(composed), plain + 0.5 * (tuned - plain), atol=1e-5)
    assert (tuned - plain).abs().max() > 0.01
    assert len(members_of(composed)) == 1
    assert sum(p.numel() for p in composed.parameters()) == sum(p.numel() for p in adapted.parameters())
    assert active_adapters(adapted) == ("b",)  # as it was


def test_keys_and_values_of_all_models_stand_in_one_cache() -> None:
    first, second = tiny_model("llama", seed=0), tiny_model("gpt_neox", seed=1)
    composed = ComposedModel([Part(1.0, first), Part(0.5, second)])
    head, cache = head_of(composed), DynamicCache()
    with torch.no_grad():
        whole = final_states(composed, head, input_ids=IDS)
        begun = final_states(composed, head, input_ids=IDS[:, :4], past_key_values=cache, use_cache=True)
        rest = final_states(composed, head, input_ids=IDS[:, 4:], past_key_values=cache, use_cache=True)
    assert len(cache.layers) == 4 and cache.get_seq_length() == 7
    assert torch.allclose(torch.cat([begun, rest], 1), whole, atol=1e-4)


def test_it_has_the_positions_of_the_shortest_and_the_logits_of_the_smallest() -> None:
    first, second = tiny_model("llama", vocab=97), tiny_model("llama", vocab=90, max_position_embeddings=40)
    composed = ComposedModel([Part(1.0, first), Part(1.0, second)])
    assert composed.config.max_position_embeddings == 40
    ids = IDS.clamp(max=89)
    assert torch.allclose(logits(composed, ids), logits(first, ids)[..., :90] + logits(second, ids), atol=1e-5)


def test_nothing_is_no_combination() -> None:
    with pytest.raises(ModelError, match="at least one model"):
        ComposedModel([])
