"""Fisher information is the mean of squared per-example gradients, whatever the batches, and leaves the model alone."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.errors import DataError, ModelError
from forgetting.models.adapters import AdapterSpec, active_adapters, attach, linear_layers, resolve_targets
from forgetting.models.adapters.lora import effective_weight
from forgetting.training.fisher import each_gradient, fisher
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model

LENGTHS = (9, 4, 12, 7, 5)


def small_model(family: str) -> PreTrainedModel:
    """A tiny model; `phi3` has one matrix for q, k and v (grouped heads) and one for gate and up."""
    if family != "phi3":
        return tiny_model(family, head_scale=0.3)
    keys = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        config = Phi3Config(**keys, num_key_value_heads=2, vocab_size=97, initializer_range=0.3, **special)
        return Phi3ForCausalLM(config).eval()


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


# With biases (gpt2, phi, qwen2), stored transposed (gpt2), fused (gpt2, gpt_neox, phi3), grouped heads (llama, phi3).
@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "gemma2", "qwen2", "qwen3", "phi", "phi3", "gpt_neo", "gpt_neox", "granite"]
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_it_is_the_mean_of_squared_gradients_of_single_examples(family: str, size: int) -> None:
    model, sequences = small_model(family), rows(1)
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


def test_a_head_tied_to_the_embedding_changes_nothing() -> None:
    model, sequences = tiny_model("llama", tied=True, head_scale=0.3), rows(1)
    modules = resolve_targets(model, "all")
    assert_close(fisher(model, [batch_of(sequences)], modules), brute_force(model, sequences, modules))


def test_a_matrix_that_runs_several_times_has_its_gradients_added_before_the_square() -> None:
    model, sequences = small_model("llama"), rows(1)
    model.model.layers[1].mlp = model.model.layers[0].mlp
    modules = ["model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj", "model.layers.0.mlp.down_proj"]
    assert_close(fisher(model, [batch_of(sequences)], modules), brute_force(model, sequences, modules))


def test_layers_below_the_lowest_module_are_not_differentiated() -> None:
    model = tiny_model("llama")
    asked: dict[int, bool] = {}
    for index, layer in enumerate(model.model.layers):
        layer.register_forward_hook(lambda _, __, output, index=index: asked.update({index: output.requires_grad}))
    fisher(model, [batch_of(rows(1))], ["model.layers.1.mlp.down_proj"])
    assert asked == {0: False, 1: True}


def test_sums_are_fp32_in_a_bfloat16_model() -> None:
    """In bfloat16 a sum stops growing at 256 times what is added."""
    model, batch = tiny_model("llama", dtype=torch.bfloat16, head_scale=0.3), batch_of(rows(1))
    modules = resolve_targets(model, "qv")
    once, often = fisher(model, [batch], modules), fisher(model, [batch] * 80, modules)
    for name in modules:
        assert often[name].dtype == torch.float32
        torch.testing.assert_close(often[name], once[name], rtol=1e-5, atol=0)


def test_every_example_is_handed_over_once_for_every_module_and_may_be_overwritten() -> None:
    model, modules = tiny_model("llama"), ("model.layers.0.mlp.up_proj", "model.layers.1.self_attn.v_proj")
    seen: list[str] = []

    def use(name: str, gradient_OI: Tensor) -> None:
        seen.append(name)
        gradient_OI.zero_()

    assert each_gradient(model, [batch_of(rows(1)[:2]), batch_of(rows(1)[2:])], modules, use) == 5
    assert sorted(seen) == sorted(modules * 5)


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


def test_no_examples_and_packed_rows_are_refused() -> None:
    model = tiny_model("llama")
    modules = resolve_targets(model, "qv")
    with pytest.raises(DataError, match="no examples"):
        fisher(model, [], modules)
    packed = batch_of([rows(1)[0]])
    object.__setattr__(packed, "keys_S", ("a", "b"))
    with pytest.raises(DataError, match="turn packing off"):
        fisher(model, [packed], modules)


def test_a_layer_in_which_examples_are_mixed_is_named() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down_proj = nn.Linear(32, 32)

        def forward(self, x: Tensor) -> Tensor:
            return self.down_proj(x.flatten(0, 1)).unflatten(0, x.shape[:-1])

    model = tiny_model("llama")
    model.model.layers[1].mlp = Block()
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.down_proj: examples are mixed"):
        fisher(model, [batch_of(rows(1))], ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"])
    assert not any(module._forward_hooks for module in model.modules())
