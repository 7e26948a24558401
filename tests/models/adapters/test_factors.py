"""The thin factors of what adapters add multiply to what PEFT itself says that they add."""

import pytest
import torch

from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.adapters.factors import added_factors
from forgetting.models.adapters.targets import linear_layers, out_in
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("kind", ["lora", "curlora"])
def test_one_adapter_and_the_sum_of_two(family: str, kind: str) -> None:
    model = tiny_model(family)
    for number, (rank, targets) in enumerate(((3, "all"), (2, "ffn"))):
        name = f"stage{number}"
        spec = AdapterSpec(kind=kind, rank=rank, targets=targets, **({"alpha": 7.0} if kind == "lora" else {}))  # type: ignore[arg-type]
        model = attach(model, spec, name=name, seed=number)
        stir(model)
    layers = linear_layers(model)
    for names in (("stage0",), ("stage1",), ("stage0", "stage1")):
        found = added_factors(model, names)
        assert set(found) == ({n for n in layers if "mlp" in n} if names == ("stage1",) else set(layers))
        for module, (left, right) in found.items():
            layer = layers[module]
            held = [n for n in names if n in getattr(layer, "lora_A" if kind == "lora" else "curlora_factors")]
            expected = sum(out_in(layer, layer.get_delta_weight(n)).double() for n in held)
            torch.testing.assert_close(left.double() @ right.double(), expected, rtol=1e-5, atol=1e-7)
            assert left.shape[1] == right.shape[0] == sum({"stage0": 3, "stage1": 2}[n] for n in held)
    assert added_factors(model, ()) == {}
