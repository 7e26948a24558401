"""The step is the same however it is cut, padded or ordered, and is that of whole logits."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.data.plan import split
from forgetting.objectives.objective import Objective
from forgetting.training.learner import _cut
from tests.models.tiny import tiny_model
from tests.objectives import oracle
from tests.training.making import (
    OBJECTIVES,
    WITH_REFERENCE,
    CopyReference,
    apart,
    batches_of,
    data_of,
    step_of,
)

COUNT = 7


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return tiny_model("llama", head_scale=0.3)


def setting(
    name: str, model: nn.Module, count: int = COUNT
) -> tuple[Objective, dict, dict[str, list[int]], CopyReference]:
    """Objective, data, one step's picks, and another model as its reference."""
    objective = OBJECTIVES[name]
    data = data_of(*objective.roles, count=count, signed=name not in WITH_REFERENCE)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1.1)
    return objective, data, {role: list(range(count)) for role in objective.roles}, CopyReference(other, objective)


def whole(objective: Objective, model: nn.Module, batch: Batch, reference: CopyReference) -> tuple[float, dict]:
    """The step in float64 from the model's whole logits, by the oracle's loops."""
    model = copy.deepcopy(model).double()
    other = copy.deepcopy(reference.model).double()
    inputs = {"input_ids": batch.input_ids_BT, "attention_mask": batch.attention_mask_BT}
    logits_NV = model(**inputs).logits.flatten(0, 1)[batch.sources_N]
    with torch.no_grad():
        reference_NV = other(**inputs).logits.flatten(0, 1)[batch.sources_N]
    total: Tensor = torch.zeros((), dtype=torch.float64)
    for term, weight in zip(objective.terms, objective.weights(0, 1), strict=True):
        here = batch.roles[term.role].tokens
        z, q, y = logits_NV[here], reference_NV[here], batch.targets_N[here]
        sequences, weights = batch.sequences_N[here].tolist(), batch.weights_N[here].tolist()
        if term.partner is not None:
            there = batch.roles[term.partner].tokens
            total = total + weight * oracle.dpo(
                (z, q, y, [s - sequences[0] for s in sequences], weights),
                (
                    logits_NV[there],
                    reference_NV[there],
                    batch.targets_N[there],
                    (batch.sequences_N[there] - batch.roles[term.partner].sequences.start).tolist(),
                    batch.weights_N[there].tolist(),
                ),
                0.1,
            )
        elif term.loss.name == "npo":
            total = total + weight * oracle.npo(z, q, y, sequences, 0.1)
        else:
            values = oracle.token_values(term.loss.name, z, y, q)
            sign = 1 if term.sign == "positive" else -1
            total = total + weight * oracle.averaged(values, weights, sequences, term.average, sign)
    total.backward()
    return total.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_step_is_that_of_whole_logits(name: str, model: nn.Module) -> None:
    objective, data, picks, reference = setting(name, model)
    batches = batches_of(data, [picks])
    loss, values, found = step_of(model, objective, batches, reference)
    expected_loss, expected = whole(objective, model, batches[0], reference)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert apart(found, expected) <= 1e-5
    weights = objective.weights(0, 1)
    assert sum(w * v for w, v in zip(weights, values, strict=True)) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("elements", [97, 5 * 97, 2**25])
@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_step_is_the_same_for_any_micro_batches_and_chunks(
    name: str, parts: int, elements: int, model: nn.Module
) -> None:
    objective, data, picks, reference = setting(name, model)
    loss, values, expected = step_of(model, objective, batches_of(data, [picks]), reference)
    micro = batches_of(data, split(picks, parts))
    assert len(micro) == parts
    other_loss, other_values, found = step_of(model, objective, micro, reference, elements=elements)
    close = tolerance(torch.float32)
    assert other_loss == pytest.approx(loss, rel=close) and other_values == pytest.approx(values, rel=close, abs=1e-7)
    assert apart(found, expected) <= close


# Llama computes its norms in fp32 whatever the precision; GPT-2 does not.
PRECISIONS = pytest.mark.parametrize(("family", "dtype"), [("llama", torch.float32), ("gpt2", torch.float64)])


def tolerance(dtype: torch.dtype) -> float:
    """fp64 is the proof; in fp32 the last digits depend on the shape of the rows and on the processor."""
    return 1e-12 if dtype == torch.float64 else 2e-6


@PRECISIONS
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_longer_padding_and_another_padding_id_change_nothing(
    name: str, parts: int, family: str, dtype: torch.dtype
) -> None:
    model = tiny_model(family, head_scale=0.3, dtype=dtype)
    objective, data, picks, reference = setting(name, model)
    _, _, expected = step_of(model, objective, batches_of(data, [picks]), reference)
    padded = batches_of(data, split(picks, parts), pad_id=55, extra=9)
    _, _, found = step_of(model, objective, padded, reference)
    assert apart(found, expected) <= tolerance(dtype)


@PRECISIONS
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_order_of_rows_within_a_step_changes_nothing(name: str, family: str, dtype: torch.dtype) -> None:
    model = tiny_model(family, head_scale=0.3, dtype=dtype)
    objective, data, picks, reference = setting(name, model)
    _, _, expected = step_of(model, objective, batches_of(data, [picks]), reference)
    shuffled = {role: random.Random(n).sample(members, COUNT) for n, (role, members) in enumerate(picks.items())}
    shuffled |= {partner: shuffled[role] for role, partner in objective.partners.items()}
    assert shuffled != picks
    _, _, found = step_of(model, objective, batches_of(data, split(shuffled, 3)), reference)
    assert apart(found, expected) <= tolerance(dtype)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_one_step_of_sgd_ends_at_the_same_weights(name: str, model: nn.Module) -> None:
    objective, data, picks, reference = setting(name, model)
    ends = []
    for parts, extra in ((1, 0), (2, 5), (4, 0)):
        trained = copy.deepcopy(model)
        step_of(trained, objective, batches_of(data, split(picks, parts), extra=extra), reference)
        torch.optim.SGD(trained.parameters(), lr=0.01).step()
        ends.append({n: p.detach() for n, p in trained.named_parameters()})
    assert apart(ends[1], ends[0]) <= 1e-6 and apart(ends[2], ends[0]) <= 1e-6
    assert apart(ends[0], {n: p.detach() for n, p in model.named_parameters()}) > 1e-5


@pytest.mark.parametrize(("family", "dtype", "close"), [("llama", torch.float32, 1e-5), ("gpt2", torch.float64, 1e-10)])
@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_packed_rows_take_the_step_of_padded_ones(
    name: str, parts: int, family: str, dtype: torch.dtype, close: float
) -> None:
    model = tiny_model(family, head_scale=0.3, dtype=dtype)
    objective, data, picks, reference = setting(name, model, count=16)
    padded = batches_of(data, split(picks, parts))
    packed = batches_of(data, split(picks, parts), packed=True)
    assert sum(len(b.input_ids_BT) for b in packed) < sum(len(b.input_ids_BT) for b in padded)
    known = {b.indices_S: reference(b) for b in padded}
    loss, values, expected = step_of(model, objective, batches_of(data, [picks]), reference)
    found_loss, found_values, found = step_of(model, objective, packed, lambda batch: known[batch.indices_S])
    assert found_loss == pytest.approx(loss, rel=close) and found_values == pytest.approx(values, rel=close, abs=1e-7)
    assert apart(found, expected) <= close


def test_a_role_missing_from_a_micro_batch_is_no_error(model: nn.Module) -> None:
    objective, data, picks, reference = setting("npo", model)
    _, _, expected = step_of(model, objective, batches_of(data, [picks]), reference)
    apart_roles = [{"forget": picks["forget"]}, {"retain": picks["retain"]}]
    _, _, found = step_of(model, objective, batches_of(data, apart_roles), reference)
    assert apart(found, expected) <= 1e-6


def test_an_example_without_its_other_half_is_a_programming_error(model: nn.Module) -> None:
    objective, data, picks, reference = setting("dpo", model)
    batches = batches_of(data, [{**picks, "alternate": picks["alternate"][::-1]}])
    with pytest.raises(AssertionError, match="the examples of forget and its partner in a batch differ"):
        step_of(model, objective, batches, reference)


def test_a_piece_holds_as_many_whole_pairs_as_fit(model: nn.Module) -> None:
    _, data, picks, _ = setting("dpo", model)
    tokens = [sum(data[role][i].supervised for role in ("forget", "alternate")) for i in range(COUNT)]
    batch = batches_of(data, [picks])[0]
    for limit, pieces in ((1, COUNT), (max(tokens), None), (sum(tokens), 1)):
        found = list(_cut(batch, ("forget", "alternate"), limit, whole=True))
        assert [p.role for p in found[0]] == ["forget", "alternate"] and len(found) == (pieces or len(found))
        assert [i for parts in found for i in range(COUNT)[parts[0].sequences]] == list(range(COUNT))
        for parts in found:
            held, pairs = sum(p.tokens.stop - p.tokens.start for p in parts), tokens[parts[0].sequences]
            assert held == sum(pairs) and (held <= limit or len(pairs) == 1)


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "phi"])
def test_other_families_take_the_same_step(family: str) -> None:
    model = tiny_model(family, head_scale=0.5)
    objective, data, picks, reference = setting("kl_from", model)
    batches = batches_of(data, [picks])
    _, _, expected = step_of(model, objective, batches, reference)
    assert apart(step_of(model, objective, batches_of(data, split(picks, 3)), reference)[2], expected) <= 2e-6
    assert apart(expected, whole(objective, model, batches[0], reference)[1]) <= 1e-5
