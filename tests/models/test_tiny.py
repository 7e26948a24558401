"""The tiny models are what the tests that use them rely on."""

import pytest
import torch

from tests.models.tiny import FAMILIES, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_third_of_the_positions_are_nearly_certain(family: str, tied: bool) -> None:
    model = tiny_model(family, tied=tied)
    ids = torch.randint(3, 97, (8, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        top = model(ids).logits.softmax(-1).amax(-1)
    assert (top > 0.9).float().mean() >= 0.3
    assert (top < 0.9).float().mean() >= 0.05
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_decides_the_weights(family: str) -> None:
    same, other = tiny_model(family, seed=3), tiny_model(family, seed=4)
    again = tiny_model(family, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(same.parameters()), next(other.parameters()))


def test_a_head_bias_is_not_zero() -> None:
    bias = tiny_model("phi").get_output_embeddings().bias
    assert bias is not None and bias.abs().mean() > 0.05
