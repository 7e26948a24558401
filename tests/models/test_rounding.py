"""Weights rounded to the values that a quantiser could store."""

import pytest
import torch

from forgetting.models.adapters.targets import linear_layers
from forgetting.models.rounding import ROUNDINGS, round_weights, rounded_to
from tests.models.tiny import tiny_model


def by_hand(weight: torch.Tensor, name: str) -> torch.Tensor:
    """One weight after the other, in float64."""
    how = ROUNDINGS[name]
    flat = weight.reshape(-1)
    block = how.block or weight.shape[1]
    found = []
    for begin in range(0, len(flat), block):
        part = flat[begin : begin + block].double()
        scale = part.abs().max()
        levels = torch.tensor(how.levels, dtype=torch.float64) * scale
        found.append(levels[(part[:, None] - levels).abs().argmin(1)])
    return torch.cat(found).view_as(weight)


@pytest.mark.parametrize("name", list(ROUNDINGS))
def test_each_weight_becomes_the_nearest_level_of_its_block(name: str) -> None:
    weight = torch.randn(5, 48, generator=torch.Generator().manual_seed(0))
    found = rounded_to(weight, ROUNDINGS[name])
    assert torch.allclose(found.double(), by_hand(weight, name), atol=1e-6)
    assert torch.equal(rounded_to(found, ROUNDINGS[name]), found) or torch.allclose(
        rounded_to(found, ROUNDINGS[name]), found, atol=1e-6
    )
    assert torch.equal(rounded_to(torch.zeros(2, 3), ROUNDINGS[name]), torch.zeros(2, 3))


def test_fewer_bits_are_coarser_and_the_number_of_levels_is_what_the_bits_hold() -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    error = {name: float((rounded_to(weight, how) - weight).square().mean()) for name, how in ROUNDINGS.items()}
    assert error["int8"] < error["int4"] < error["fp4"] and error["nf4"] < error["fp4"]
    assert {name: len(how.levels) for name, how in ROUNDINGS.items()} == {"int8": 255, "int4": 15, "nf4": 16, "fp4": 15}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_decoders_matrices_are_rounded_and_nothing_else(family: str) -> None:
    model = tiny_model(family)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    matrices = {f"{name}.weight" for name in linear_layers(model)}
    assert round_weights(model, ROUNDINGS["nf4"]) == len(matrices)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == matrices


@pytest.mark.parametrize(("name", "kind"), [("nf4", "nf4"), ("fp4", "fp4")])
def test_four_bits_are_those_of_bitsandbytes(name: str, kind: str) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn(16, 128, generator=torch.Generator().manual_seed(2))
    stored, state = functional.quantize_4bit(weight, blocksize=64, quant_type=kind)
    theirs = functional.dequantize_4bit(stored, state)
    assert torch.allclose(rounded_to(weight, ROUNDINGS[name]), theirs, atol=1e-5)
