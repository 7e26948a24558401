"""Statistics of each token are those of the full logits, one example at a time."""

import pytest
import torch

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.token_columns import token_columns
from forgetting.objectives.statistics import LOGP, RANK
from tests.models.tiny import tiny_model, tiny_tokenizer


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_log_p_and_rank_are_those_of_the_full_logits(family: str) -> None:
    model, tokenizer = tiny_model(family), tiny_tokenizer()
    examples = [
        Example(id="a", prompt="the cat", response="sat on the big bird"),
        Example(id="b", prompt="a small dog ran", response="under"),
        Example(id="c", prompt="", response="blue fish swam over the cat in the green bird", form="text"),
    ]
    model.train()
    seen: list[tuple[int, int]] = []
    found = token_columns(
        model,
        tokenizer,
        examples,
        (LOGP, RANK),
        formatting=Formatting(),
        progress=lambda done, total, note: seen.append((done, total)),
    )
    assert model.training and seen[-1] == (3, 3)
    model.eval()
    for example, columns in zip(examples, found, strict=True):
        row = encode(example, tokenizer, Formatting())
        with torch.no_grad():
            logits_TV = model(torch.tensor([row.ids])).logits[0].double()
        places = [i for i, w in enumerate(row.weights) if w]
        expected = [float(logits_TV[i - 1].log_softmax(-1)[row.ids[i]]) for i in places]
        above = [int((logits_TV[i - 1] > logits_TV[i - 1, row.ids[i]]).sum()) for i in places]
        assert columns["logp"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert list(columns["rank"]) == above
