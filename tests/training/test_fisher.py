"""Fisher information is the mean of squared per-example gradients, whatever the batches, and leaves the model alone."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.core.errors import DataError
from forgetting.models.adapters import AdapterSpec, active_adapters, attach, linear_layers, resolve_targets
from forgetting.models.adapters.fila import row_weights
from forgetting.models.adapters.lora import effective_weight
from forgetting.training.fisher import fisher, row_importance
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model

LENGTHS = (9, 4, 12, 7, 5)


def rows(seed: int, lengths: Sequence[int] = LENGTHS) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 97, (length,), generator=generator).tolist() for length in lengths]


def batch_of(sequences: Sequence[list[int]], *, pad: int = 0, prompt: int = 2) -> Batch:
    """Right-padded rows, one sequence each; all tokens after the first `prompt` are supervised."""
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), pad)
    segments = torch.full_like(ids, -1)
    sources, targets, owners = [], [], []
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        segments[row, : len(sequence)] = row
        for position in range(prompt, len(sequence)):
            sources.append(row * longest + position - 1)
            targets.append(sequence[position])
            owners.append(row)
    return Batch(
        input_ids_BT=ids,
        attention_mask_BT=(segments >= 0).long(),
        segment_ids_BT=segments,
        sources_N=torch.tensor(sources),
        targets_N=torch.tensor(targets),
        weights_N=torch.ones(len(targets)),
        sequences_N=torch.tensor(owners),
        keys_S=tuple(map(str, range(len(sequences)))),
        indices_S=tuple(range(len(sequences))),
        roles={},
    )


def brute_force(model: nn.Module, sequences: Sequence[list[int]], modules: Sequence[str], prompt: int = 2) -> dict:
    """One backward pass per example, without padding, squared and averaged in float64; `[out, in]`."""
    model = model.double()
    layers = linear_layers(model)
    weights = {name: layers[name].weight.requires_grad_() for name in modules}
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    for sequence in sequences:
        logits = model(input_ids=torch.tensor([sequence])).logits[0].log_softmax(-1)
        loss = -sum(logits[t - 1, sequence[t]] for t in range(prompt, len(sequence)))
        for name, gradient in zip(modules, torch.autograd.grad(loss, list(weights.values())), strict=True):
            sums[name] += gradient**2 / len(sequences)
    conv1d = model.config.model_type == "gpt2"
    return {name: total.T if conv1d else total for name, total in sums.items()}


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        assert value.dtype == torch.float32
        worst = (value.double() - expected[name]).abs().max() / expected[name].abs().max()
        assert worst <= 1e-5, (name, worst)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3", "phi", "gpt_neo", "gpt_neox"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_it_is_the_mean_of_squared_gradients_of_single_examples(family: str, size: int) -> None:
    model, sequences = tiny_model(family, head_scale=0.3), rows(1)
    modules = resolve_targets(model, "all")
    batches = [batch_of(sequences[i : i + size]) for i in range(0, len(sequences), size)]
    actual = fisher(model, batches, modules)
    assert_close(actual, brute_force(model, sequences, modules))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_id_that_pads_does_not_matter(family: str) -> None:
    model = tiny_model(family)
    modules = resolve_targets(model, "qvffn")
    one, other = (fisher(model, [batch_of(rows(1), pad=pad)], modules) for pad in (0, 55))
    for name in modules:
        torch.testing.assert_close(one[name], other[name], rtol=1e-6, atol=0)


def test_some_modules_give_what_all_modules_give() -> None:
    model, batches = tiny_model("llama"), [batch_of(rows(1))]
    every = fisher(model, batches, resolve_targets(model, "all"))
    for name in resolve_targets(model, ["layers.0.self_attn.v_proj", "layers.1.mlp.up_proj"]):
        torch.testing.assert_close(fisher(model, batches, [name])[name], every[name])


def test_the_loss_is_the_sum_over_tokens_that_is_handed_in() -> None:
    model, batches = tiny_model("llama"), [batch_of(rows(1))]
    modules = resolve_targets(model, "qv")

    def doubled(model: nn.Module, batch: Batch) -> Tensor:
        logits = model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits.flatten(0, 1)
        return -2 * logits[batch.sources_N].log_softmax(-1).gather(1, batch.targets_N[:, None])[:, 0]

    once, twice = fisher(model, batches, modules), fisher(model, batches, modules, token_loss=doubled)
    for name in modules:
        torch.testing.assert_close(twice[name], 4 * once[name])


def test_the_model_is_left_as_it_was() -> None:
    model = tiny_model("gpt2").train()
    model.transformer.h[0].eval()
    next(model.parameters()).requires_grad_(False)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    flags = [p.requires_grad for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    fisher(model, [batch_of(rows(1))], resolve_targets(model, "all"))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(p, weights[name]) and p.grad is None for name, p in model.named_parameters())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())


def test_with_adapters_it_is_that_of_the_weight_in_effect() -> None:
    model = attach(tiny_model("llama"), AdapterSpec(rank=3, targets="qv", dropout=0.5), name="first", seed=0)
    stir(model)
    modules, sequences = resolve_targets(model, "qvffn"), rows(2)
    actual = fisher(model, [batch_of(sequences)], modules)
    assert active_adapters(model) == ("first",)
    merged = tiny_model("llama")
    with torch.no_grad():
        for name, layer in linear_layers(merged).items():
            layer.weight.copy_(effective_weight(linear_layers(model)[name]))
    assert_close(actual, brute_force(merged, sequences, modules))


@pytest.mark.parametrize("at_once", [1, 3, 100])
@pytest.mark.parametrize("epsilon", ["relative", "released"])
def test_row_importance_is_the_same_however_many_modules_are_in_memory(at_once: int, epsilon: str) -> None:
    model = tiny_model("gpt2")
    modules = resolve_targets(model, "qvffn")
    forget, retain = [batch_of(rows(1))], [batch_of(rows(2)[:2]), batch_of(rows(2)[2:])]
    seen: list[tuple[int, int]] = []
    actual = row_importance(
        model,
        forget,
        retain,
        modules,
        epsilon=epsilon,
        at_once=at_once,
        progress=lambda done, total, note: seen.append((done, total)),
    )
    on_forget, on_retain = fisher(model, forget, modules), fisher(model, retain, modules)
    assert list(actual) == list(modules)
    for name, w in actual.items():
        torch.testing.assert_close(w, row_weights(on_forget[name], on_retain[name], epsilon), rtol=1e-4, atol=0)
    assert seen[-1] == (6, 6) and len(seen) == -(-6 // at_once)


def test_no_examples_and_packed_rows_are_refused() -> None:
    model = tiny_model("llama")
    modules = resolve_targets(model, "qv")
    with pytest.raises(DataError, match="no examples"):
        fisher(model, [], modules)
    packed = batch_of([rows(1)[0]])
    object.__setattr__(packed, "keys_S", ("a", "b"))
    with pytest.raises(DataError, match="turn packing off"):
        fisher(model, [packed], modules)
    with pytest.raises(TypeError, match="not generators"):
        row_importance(model, (b for b in [packed]), [packed], modules)
