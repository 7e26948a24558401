"""The lens reads each layer through the model's own norm and head."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.lens import layer_logp
from forgetting.core.errors import ModelError
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, by_hand, models
from tests.models.tiny import tiny_model


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox"])
@torch.no_grad()
def test_each_layer_is_what_the_model_says_without_the_later_ones(family: str) -> None:
    model = tiny_model(family)
    examples = EXAMPLES["forget"][:4]
    found = layer_logp(model, TOKENIZER, examples, formatting=Formatting())
    own = [np.mean(by_hand(model, e)[0]) for e in examples]
    assert found[-1] == pytest.approx(own, abs=1e-4)
    outputs = model(torch.tensor([encode(examples[0], TOKENIZER, Formatting()).ids]), output_hidden_states=True)
    decoder = model.get_decoder()
    norm = next(getattr(decoder, n) for n in ("norm", "ln_f", "final_layer_norm") if hasattr(decoder, n))
    logits = model.get_output_embeddings()(norm(outputs.hidden_states[1]))[0].double()
    if getattr(model.config, "final_logit_softcapping", None):
        logits = model.config.final_logit_softcapping * torch.tanh(logits / model.config.final_logit_softcapping)
    row = encode(examples[0], TOKENIZER, Formatting())
    places = [i for i, w in enumerate(row.weights) if w]
    expected = np.mean([float(logits[i - 1].log_softmax(-1)[row.ids[i]]) for i in places])
    assert found[0, 0] == pytest.approx(expected, abs=1e-4)


def test_measures_stand_for_every_model_and_the_oracle() -> None:
    before, after, plain, changed = models()
    from forgetting.models.view import View

    compared = Compared(before=before, after=after, oracle=View(plain), tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("lens")(compared)
    found = {m.key: m for m in findings.measures}
    assert found["forget/logp_start"].value == pytest.approx(found["forget/logp_oracle"].value)
    own = np.mean([np.mean(by_hand(changed, e)[0]) for e in EXAMPLES["forget"]])
    assert found["forget/logp_after"].value == pytest.approx(own, abs=1e-4)
    assert found["forget/hidden_after"].value >= 0
    assert {s.name for s in findings.series} >= {"forget, start", "forget, after", "forget, oracle"}


def test_a_family_whose_head_is_unknown_is_refused() -> None:
    model = tiny_model("llama")
    model.config.model_type = "unheard"
    with pytest.raises(ModelError, match="head of a unheard model"):
        layer_logp(model, TOKENIZER, EXAMPLES["forget"], formatting=Formatting())
