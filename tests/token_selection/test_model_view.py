"""One set of weights, several models to see in it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from forgetting.core.errors import ModelError
from forgetting.data.batches import collate
from forgetting.models.adapters import AdapterSpec, active_adapters, attach
from forgetting.token_selection.model_view import ModelView
from forgetting.training.stored_reference import fingerprint
from tests.models.adapters.stages import stir
from tests.models.tiny import tiny_model
from tests.training.making import examples


def adapted(name: str = "reference", seed: int = 0) -> nn.Module:
    model = attach(tiny_model("llama"), AdapterSpec(rank=2, targets="qv", dropout=0.4), name=name, seed=0)
    torch.manual_seed(seed)
    stir(model)
    return model


def test_views_give_what_the_plain_and_the_adapted_model_give() -> None:
    model = adapted().train()
    rows = examples(5)
    batches = [collate({"a": list(enumerate(part))}, pad_id=0) for part in (rows[:3], rows[3:])]
    seen: list[int] = []
    base, reference = (
        ModelView(model, names).logps(batches, lambda b: seen.append(len(b.keys_S))) for names in ((), ("reference",))
    )
    assert seen == [3, 2, 3, 2] and model.training and active_adapters(model) == ("reference",)
    for found, whole in ((base, tiny_model("llama")), (reference, copy.deepcopy(model).eval())):
        logps = [
            whole(b.input_ids_BT, attention_mask=b.attention_mask_BT).logits.flatten(0, 1)[b.sources_N].log_softmax(-1)
            for b in batches
        ]
        expected = torch.cat([p.gather(1, b.targets_N[:, None])[:, 0] for p, b in zip(logps, batches, strict=True)])
        torch.testing.assert_close(torch.from_numpy(found), expected.detach(), rtol=1e-5, atol=1e-5)
    assert abs(base - reference).max() > 1e-3


def test_without_batches_there_are_no_numbers() -> None:
    assert ModelView(tiny_model("llama")).logps([], lambda b: None).shape == (0,)


def test_an_adapter_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="no adapter 'refrence'; did you mean 'reference'"):
        ModelView(adapted(), ("refrence",)).logps([], lambda b: None)


def test_the_base_below_adapters_is_the_plain_model() -> None:
    plain = fingerprint(tiny_model("llama"))
    model = adapted()
    assert ModelView(tiny_model("llama")).fingerprint() == ModelView(model).fingerprint() == plain
    model = attach(model, AdapterSpec(rank=3, targets="ffn"), name="next", seed=1)
    assert ModelView(model).fingerprint() == plain


def test_a_reference_is_known_by_its_weights_and_not_by_its_name() -> None:
    view = ModelView(adapted(), ("reference",))
    here = view.fingerprint()
    other = attach(adapted("another"), AdapterSpec(rank=3, targets="ffn"), name="next", seed=1)
    assert ModelView(other, ("another",)).fingerprint() == here != ModelView(other, ("another", "next")).fingerprint()
    layer = next(m for m in view.model.modules() if hasattr(m, "lora_B"))
    layer.scaling["reference"] *= 2
    scaled = view.fingerprint()
    layer.scaling["reference"] /= 2
    with torch.no_grad():
        layer.lora_B["reference"].weight[0] += 1e-3
    assert len({here, scaled, view.fingerprint(), ModelView(view.model).fingerprint()}) == 4
