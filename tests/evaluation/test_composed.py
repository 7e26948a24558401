"""A combination of models is evaluated as one model: likelihoods, ranks, greedy answers and extraction."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation import answers
from forgetting.evaluation.answers import answer
from forgetting.evaluation.cache import shares_cache
from forgetting.evaluation.extraction import Verbatim, continue_all
from forgetting.models.composed import ComposedModel, Part
from tests.evaluation.test_cache import SMALL_WINDOW, other_model
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

FORMATTING = Formatting(plain="{prompt} in ")
COEFFICIENTS = (1.0, 0.6, -0.6)
NEW = 7


def member(family: str, seed: int) -> PreTrainedModel:
    if family == "Mamba":
        return other_model(family).double()
    return tiny_model(family, seed=seed, dtype=torch.float64, **SMALL_WINDOW.get(family, {}))


def composed(families: tuple[str, ...]) -> tuple[ComposedModel, list[PreTrainedModel]]:
    models = [member(family, seed) for seed, family in enumerate(families)]
    return ComposedModel([Part(c, m) for c, m in zip(COEFFICIENTS, models, strict=False)]), models


@torch.no_grad()
def next_logits(models: list[PreTrainedModel], ids: list[int]) -> Tensor:
    """By brute force: whole forwards of all models, `[T, V]`."""
    row = torch.tensor([ids])
    return sum(c * m(row).logits[0].double() for c, m in zip(COEFFICIENTS, models, strict=False))  # type: ignore[return-value]


def greedy(models: list[PreTrainedModel], ids: list[int], count: int, end: int | None = None) -> list[int]:
    written: list[int] = []
    while len(written) < count and end not in written:
        written.append(int(next_logits(models, [*ids, *written])[-1].argmax()))
    return written


def examples() -> list[Example]:
    texts = [(" ".join(WORDS[i : i + 3 + i % 2]), " ".join(WORDS[i + 4 : i + 6])) for i in range(5)]
    return [
        Example(id=str(i), prompt=p, response=r, paraphrased=f"{r} the", perturbed=(f"a {r}", "the cat"), where=str(i))
        for i, (p, r) in enumerate(texts)
    ]


@pytest.mark.parametrize(
    "families",
    [("llama", "gpt2", "llama"), ("gemma2", "qwen3", "gpt_neox"), ("mistral", "gemma3"), ("llama", "Mamba")],
    ids=" ".join,
)
def test_records_are_those_of_the_summed_logits(families: tuple[str, ...]) -> None:
    model, models = composed(families)
    tokenizer = tiny_tokenizer()
    assert shares_cache(model, 40) == ("Mamba" not in families)
    records = answer(model, tokenizer, examples(), split="s", formatting=FORMATTING, max_new_tokens=NEW)
    for record, example in zip(records, examples(), strict=True):
        row = encode(example, tokenizer, FORMATTING)
        logp = torch.log_softmax(next_logits(models, list(row.ids)), -1)
        places = [t for t, w in enumerate(row.weights) if w > 0]
        own = [logp[t - 1, row.ids[t]] for t in places]
        assert record.score is not None and record.paraphrase is not None
        assert record.score.logp == pytest.approx(float(sum(own)), abs=1e-4)
        assert record.score.ranks == tuple(int((logp[t - 1] > p).sum()) for t, p in zip(places, own, strict=True))
        assert len(record.perturbed) == 2 and math.isfinite(record.paraphrase.logp)
        written = greedy(models, list(row.prompt_ids), NEW, tokenizer.eos_token_id)
        assert record.generation == tokenizer.decode(written, skip_special_tokens=True).strip()


def test_one_cache_and_whole_rows_give_the_same_records(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = composed(("llama", "gpt2", "llama"))

    def records() -> list[Any]:
        return answer(model, tiny_tokenizer(), examples(), split="s", formatting=FORMATTING, max_new_tokens=NEW)

    shared = records()
    monkeypatch.setattr(answers, "shares_cache", lambda *_: False)
    for one, other in zip(shared, records(), strict=True):
        assert one.generation == other.generation
        assert one.score.logp == pytest.approx(other.score.logp, abs=1e-4)
        assert [s.logp for s in one.perturbed] == pytest.approx([s.logp for s in other.perturbed], abs=1e-4)


def test_a_single_model_has_its_own_records_to_the_bit() -> None:
    model = tiny_model("llama")
    one, other = (
        answer(m, tiny_tokenizer(), examples(), split="s", formatting=FORMATTING, max_new_tokens=NEW)
        for m in (model, ComposedModel([Part(1.0, model)]))
    )
    assert one == other


def test_beta_0_is_the_first_model_to_rounding() -> None:
    first, second = tiny_model("llama", dtype=torch.float64), tiny_model("llama", seed=1, dtype=torch.float64)
    mixed = ComposedModel([Part(1.0, first), Part(0.0, second), Part(-0.0, first)])
    one, other = (
        answer(m, tiny_tokenizer(), examples(), split="s", formatting=FORMATTING, max_new_tokens=NEW)
        for m in (first, mixed)
    )
    for mine, its in zip(one, other, strict=True):
        assert mine.generation == its.generation
        assert mine.score is not None and its.score is not None
        assert mine.score.logp == pytest.approx(its.score.logp, abs=1e-5)


def test_continuations_are_those_of_the_summed_logits() -> None:
    model, models = composed(("llama", "gpt2"))
    ids = [5]
    for i in range(14):  # two of three tokens are the greedy ones
        right = greedy(models, ids, 1)[0]
        ids.append(right if i % 3 else (right + 7) % 97)
    (found,) = continue_all(model, [Verbatim(tuple(ids))], shortest=3)
    for start, tokens in found.continuations.items():
        assert list(tokens) == greedy(models, ids[:start], len(ids) - start)


def test_generate_writes_the_greedy_tokens_of_padded_prompts() -> None:
    models = [tiny_model("llama"), tiny_model("gpt2", seed=1)]  # a mask of float64 is -inf to eager attention
    model = ComposedModel([Part(c, m) for c, m in zip(COEFFICIENTS, models, strict=False)])
    prompts = [[5, 6, 7, 8], [9, 10]]
    ids = torch.tensor([prompts[0], [0, 0, *prompts[1]]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=5, eos_token_id=None)
    assert out[:, 4:].tolist() == [greedy(models, prompt, 5) for prompt in prompts]
