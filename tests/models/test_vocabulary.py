"""Losses formed chunk by chunk on supervised positions are those of the whole logits, gradients included."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from zlib import crc32

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from forgetting.models.head import IDENTITY, Head, head_of, supervised_hidden
from forgetting.models.vocabulary import Piece, chunk_tokens, statistics, vocabulary_loss
from forgetting.objectives import statistics as s
from tests.models.test_head import more_families
from tests.models.tiny import FAMILIES, tiny_model
from tests.objectives import oracle

ALL = (s.LOGP, s.RUNNER_UP, s.ENTROPY, s.RANK, s.KL_FROM_REFERENCE, s.KL_TO_REFERENCE)
SLOPED = tuple(x for x in ALL if x is not s.RANK)
VOCAB = 97
GENERATOR = torch.Generator().manual_seed(11)
IDS = torch.randint(3, VOCAB, (4, 13), generator=GENERATOR)
MASK = torch.ones_like(IDS)
MASK[1, 8:] = MASK[3, 5:] = 0
SOURCES = torch.tensor([r * 13 + c for r, n in enumerate((13, 8, 13, 5)) for c in range(2, n - 1)])
TARGETS = torch.where(
    torch.arange(len(SOURCES)) % 3 == 0,
    IDS.flatten()[SOURCES + 1],
    torch.randint(3, VOCAB, (len(SOURCES),), generator=GENERATOR),
)
FACTORS = torch.linspace(0.5, 2.0, len(SOURCES), dtype=torch.float64)
ENDS = (1, 6, 7, len(SOURCES))
CHUNKS = (1, 3, len(SOURCES) + 5)


@lru_cache
def built(family: str, tied: bool) -> tuple[nn.Module, Tensor]:
    """A model, and the logits of its reference: as if the model had been trained a little since.

    They are the same whichever test is the first to ask for them.
    """
    model, drawn = tiny_model(family, tied=tied), torch.Generator().manual_seed(crc32(f"{family} {tied}".encode()))
    reference = copy.deepcopy(model)
    with torch.no_grad():
        for p in reference.parameters():
            p.mul_(1 + 0.1 * torch.randn(p.shape, generator=drawn))
        return model, reference(input_ids=IDS, attention_mask=MASK).logits.flatten(0, 1)[SOURCES]


def piece_loss(values: dict[str, Tensor], here: slice) -> Tensor:
    """A loss that ties the tokens of a piece together, as a sequence loss does."""
    total = torch.stack([(FACTORS[here].to(v.dtype) * v).sum() for v in values.values()]).sum()
    return total + 0.01 * total**2 / (1 + total.abs())


def pieces_of(needs: tuple[s.Statistic, ...], reference_NV: Tensor | None) -> list[Piece]:
    cuts = [slice(a, b) for a, b in zip((0, *ENDS[:-1]), ENDS, strict=True)]
    logits = None if reference_NV is None else (lambda tokens: reference_NV[tokens])
    return [Piece((cut,), needs, lambda values, cut=cut: piece_loss(values, cut), logits) for cut in cuts]  # type: ignore[misc]


def ours(model: nn.Module, needs: tuple[s.Statistic, ...], reference_NV: Tensor, chunk: int) -> tuple[Tensor, dict]:
    """Loss, and gradients of every parameter and of the hidden states, by our path."""
    model.zero_grad()
    head = head_of(model)
    hidden_ND = supervised_hidden(model, head, IDS, MASK, SOURCES)
    hidden_ND.retain_grad()
    loss = vocabulary_loss(hidden_ND, head, TARGETS, pieces_of(needs, reference_NV), elements=chunk * VOCAB)
    loss.backward()
    return loss, gradients(model) | {"hidden": hidden_ND.grad}


def plain(
    model: nn.Module, needs: tuple[s.Statistic, ...], reference_NV: Tensor, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, dict]:
    """The same by the model's own logits and the definitions, in float64."""
    model.zero_grad()
    kept: list[Tensor] = []
    handle = model.get_output_embeddings().register_forward_pre_hook(  # type: ignore[operator]
        lambda module, inputs: kept.append(inputs[0])
    )
    logits_BTV = model(input_ids=IDS, attention_mask=MASK).logits
    handle.remove()
    kept[0].retain_grad()
    logits_NV = logits_BTV.flatten(0, 1)[SOURCES].to(dtype)
    reference = reference_NV.to(dtype)
    loss = torch.zeros((), dtype=dtype)
    for piece in pieces_of(needs, reference):
        (cut,) = piece.tokens
        values = {x.name: oracle.statistic(x.name, logits_NV[cut], TARGETS[cut], reference[cut]) for x in needs}
        loss = loss + piece.loss(values)
    loss.backward()
    assert kept[0].grad is not None
    return loss, gradients(model) | {"hidden": kept[0].grad.flatten(0, 1)[SOURCES]}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def apart(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest distance of two gradients of one parameter, as a share of its length.

    A gradient below a thousandth of the whole counts as that: some are zero but for rounding (a key's bias).
    """
    assert actual.keys() == expected.keys()
    whole = sum(float(g.double().square().sum()) for g in expected.values()) ** 0.5
    lengths = {name: max(float(g.double().norm()), 1e-3 * whole) for name, g in expected.items()}
    return max(float((actual[name].double() - g.double()).norm()) / lengths[name] for name, g in expected.items())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_models_are_as_hard_as_trained_ones(family: str, tied: bool) -> None:
    model, _ = built(family, tied)
    with torch.no_grad():
        logits = model(input_ids=IDS, attention_mask=MASK).logits.flatten(0, 1)[SOURCES]
    assert (logits.softmax(-1).amax(-1) > 0.9).float().mean() >= 0.3
    cap = getattr(model.config, "final_logit_softcapping", None)
    assert cap is None or logits.abs().max() > cap / 2
    assert cap is not None or family != "gemma2"
    bias = model.get_output_embeddings().bias
    assert (family != "phi") == (bias is None) and (bias is None or bias.abs().mean() > 0.05)


@pytest.mark.parametrize("wanted", SLOPED, ids=lambda x: x.name)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_give_the_loss_and_gradients_of_whole_logits(family: str, tied: bool, wanted: s.Statistic) -> None:
    model, reference_NV = built(family, tied)
    expected_loss, expected = plain(model, (wanted,), reference_NV)
    assert len(expected) == len(list(model.parameters())) + 1
    # The slope of KL(p ‖ p_ref) at a certain token is the small difference of two large numbers.
    tolerance = 2e-5 if wanted is s.KL_TO_REFERENCE else 1e-5
    for chunk in CHUNKS:
        loss, actual = ours(model, (wanted,), reference_NV, chunk)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-5)
        assert apart(actual, expected) <= tolerance


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_by_chunks_are_those_of_whole_logits(family: str, tied: bool) -> None:
    model, reference_NV = built(family, tied)
    head = head_of(model)
    with torch.no_grad():
        hidden_ND = supervised_hidden(model, head, IDS, MASK, SOURCES)
        logits_NV = model(input_ids=IDS, attention_mask=MASK).logits.flatten(0, 1)[SOURCES].double()
    for chunk in CHUNKS:
        actual = statistics(
            hidden_ND, head, TARGETS, ALL, reference_logits=lambda t: reference_NV[t], elements=chunk * VOCAB
        )
        for wanted in ALL:
            expected = oracle.statistic(wanted.name, logits_NV, TARGETS, reference_NV.double())
            scale = max(1.0, float(expected.abs().max()))
            assert float((actual[wanted.name] - expected).abs().max()) <= 1e-5 * scale, wanted.name


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_in_float64_chunks_are_exact(family: str, tied: bool) -> None:
    model, reference_NV = built(family, tied)
    model = copy.deepcopy(model).double()
    expected_loss, expected = plain(model, SLOPED, reference_NV)
    for chunk in CHUNKS:
        loss, actual = ours(model, SLOPED, reference_NV.double(), chunk)
        assert loss.dtype == torch.float64
        assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-11)
        # GPT-Neo computes its attention in fp32 whatever the precision.
        assert apart(actual, expected) <= (1e-6 if family == "gpt_neo" else 1e-10)


@pytest.mark.parametrize("what", ["OPT", "Cohere2", "lora head"])
def test_the_plain_path_gives_the_same_numbers(what: str) -> None:
    if what == "lora head":
        base = tiny_model("llama", tied=False)
        model: Any = get_peft_model(
            base, LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
        ).eval()
    else:
        model = more_families(what)
    assert head_of(model) is IDENTITY
    with torch.no_grad():
        logits_NV = model(input_ids=IDS, attention_mask=MASK).logits.flatten(0, 1)[SOURCES]
    reference_NV = logits_NV + 0.5 * torch.randn(logits_NV.shape, generator=GENERATOR)
    expected_loss, expected = plain(model, SLOPED, reference_NV)
    expected.pop("hidden")
    for chunk in CHUNKS:
        loss, actual = ours(model, SLOPED, reference_NV, chunk)
        assert actual.pop("hidden").shape == (len(SOURCES), VOCAB)
        assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-5)
        assert apart(actual, expected) <= 2e-5


RUNS = (slice(20, 27), slice(0, 1), slice(9, 13))


@pytest.mark.parametrize("wanted", SLOPED, ids=lambda x: x.name)
@pytest.mark.parametrize("chunk", [1, 3, 5, 7, 8, 12, 100])
def test_runs_that_a_loss_ties_together_are_one_piece(chunk: int, wanted: s.Statistic) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(VOCAB, 8, dtype=torch.float64), torch.randn(VOCAB, dtype=torch.float64)
    hidden = torch.randn(len(SOURCES), 8, dtype=torch.float64)
    reference_NV = torch.randn(len(SOURCES), VOCAB, dtype=torch.float64)
    order = torch.cat([torch.arange(r.start, r.stop) for r in RUNS])
    leaves = [t.clone().requires_grad_() for t in (hidden, weight, bias)]
    values = oracle.statistic(
        wanted.name, (leaves[0] @ leaves[1].T + leaves[2])[order], TARGETS[order], reference_NV[order]
    )
    expected = piece_loss({wanted.name: values}, slice(0, len(order)))
    expected.backward()
    mine = [nn.Parameter(t.clone()) for t in (hidden, weight, bias)]
    piece = Piece(RUNS, (wanted,), lambda v: piece_loss(v, slice(0, len(order))), lambda tokens: reference_NV[tokens])
    with Shapes() as shapes:
        loss = vocabulary_loss(mine[0], Head(mine[1], mine[2]), TARGETS, [piece], elements=chunk * VOCAB)
        loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-11)
    for ours_, theirs in zip(mine, leaves, strict=True):
        torch.testing.assert_close(ours_.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    assert max(shape[0] for shape in shapes.seen if len(shape) == 2 and shape[1] == VOCAB) <= max(chunk, 1)


class Shapes(TorchDispatchMode):
    """Notes the shapes of all new storages."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and t.untyped_storage().data_ptr() not in given:
                self.seen.add(tuple(t.shape))
        return out


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_head_costs_no_weight_gradient(frozen: bool) -> None:
    hidden_ND = torch.randn(len(SOURCES), 16, requires_grad=True)
    weight = nn.Parameter(torch.randn(VOCAB, 16), requires_grad=not frozen)
    bias = nn.Parameter(torch.randn(VOCAB), requires_grad=not frozen)
    with Shapes() as shapes:
        loss = vocabulary_loss(hidden_ND, Head(weight, bias), TARGETS, pieces_of((s.LOGP,), None), elements=3 * VOCAB)
        loss.backward()
    assert ((VOCAB, 16) in shapes.seen) == (not frozen)
    assert (weight.grad is None) == frozen and (bias.grad is None) == frozen
    assert hidden_ND.grad is not None and hidden_ND.grad.abs().sum() > 0
    assert max(shape[0] for shape in shapes.seen if len(shape) == 2 and shape[1] == VOCAB) <= 3


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_a_rank_may_weigh_a_loss_but_has_no_slope(chunk: int) -> None:
    torch.manual_seed(0)
    weight, hidden = torch.randn(VOCAB, 8), torch.randn(12, 8, dtype=torch.float64)
    targets = TARGETS[:12]

    def loss(values: dict[str, Tensor]) -> Tensor:
        return (values["rank"] * values["logp"]).sum()

    mine, theirs = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    piece = Piece((slice(0, 12),), (s.LOGP, s.RANK), loss)
    vocabulary_loss(mine, Head(weight.double()), targets, [piece], elements=chunk * VOCAB).backward()
    logits = theirs @ weight.double().T
    ranks = oracle.statistic("rank", logits.detach(), targets)
    (ranks * oracle.statistic("logp", logits, targets)).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("chunk", [1, 100])
def test_a_piece_that_asks_for_no_gradient_gives_none(chunk: int) -> None:
    hidden = torch.randn(6, 8, requires_grad=True)
    cuts = [
        Piece((slice(0, 3),), (s.LOGP,), lambda v: v["logp"].sum()),
        Piece((slice(3, 6),), (s.LOGP,), lambda v: v["logp"].detach().sum()),
    ]
    vocabulary_loss(hidden, Head(torch.randn(VOCAB, 8)), TARGETS[:6], cuts, elements=chunk * VOCAB).backward()
    assert hidden.grad is not None and hidden.grad[:3].abs().sum() > 0 and hidden.grad[3:].abs().sum() == 0


def test_the_loss_is_scaled_by_what_stands_before_it_and_used_once() -> None:
    head, pieces = (
        Head(nn.Parameter(torch.randn(VOCAB, 8))),
        [Piece((slice(0, 6),), (s.LOGP,), lambda v: v["logp"].sum())],
    )
    hidden = torch.randn(6, 8, requires_grad=True)
    (once,) = torch.autograd.grad(vocabulary_loss(hidden, head, TARGETS[:6], pieces), hidden)
    loss = 2.5 * vocabulary_loss(hidden, head, TARGETS[:6], pieces)
    (scaled,) = torch.autograd.grad(loss, hidden, retain_graph=True)
    torch.testing.assert_close(scaled, 2.5 * once)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        loss.backward()


def test_bfloat16_models_keep_fp32_sums() -> None:
    torch.manual_seed(0)
    weight, hidden = torch.randn(VOCAB, 16), torch.randn(len(SOURCES), 16)
    head = Head(nn.Parameter(weight.bfloat16()))
    low = hidden.bfloat16().requires_grad_()
    pieces = [Piece((slice(0, len(SOURCES)),), (s.LOGP,), lambda v: -v["logp"].mean())]
    loss = vocabulary_loss(low, head, TARGETS, pieces, elements=5 * VOCAB)
    loss.backward()
    exact = hidden.bfloat16().double() @ weight.bfloat16().double().T
    expected = -oracle.statistic("logp", exact, TARGETS).mean().item()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected, rel=5e-3)
    assert low.grad is not None and low.grad.dtype == torch.bfloat16
    assert head.weight_VD is not None and head.weight_VD.grad is not None


def test_autocast_agrees_to_its_precision_and_keeps_fp32_gradients() -> None:
    model, _ = built("llama", False)
    expected_loss, expected = ours(model, (s.LOGP,), built("llama", False)[1], 5)
    with torch.autocast("cpu", torch.bfloat16):
        loss, actual = ours(model, (s.LOGP,), built("llama", False)[1], 5)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected_loss.item(), rel=0.05)
    name = "lm_head.weight"
    assert actual[name].dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(actual[name].flatten(), expected[name].flatten(), dim=0) > 0.95


def test_the_size_of_a_chunk() -> None:
    assert chunk_tokens(100, 1000) == 10 and chunk_tokens(1000, 10) == 1
    empty = statistics(torch.zeros(0, 8), Head(torch.zeros(5, 8)), torch.zeros(0, dtype=torch.long), (s.LOGP,))
    assert empty["logp"].shape == (0,)
