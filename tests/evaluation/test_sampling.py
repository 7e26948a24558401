"""Sampled answers are draws from the model's own distribution, reproducible question by question."""

from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.sampling import Sampling, sample_answers
from forgetting.metrics.statistics import seed_of
from tests.models.tiny import tiny_model, tiny_tokenizer

EXAMPLES = [
    Example(id="a", prompt="the cat", response="sat on", group="g", kind="animal", popularity=3.0),
    Example(id="b", prompt="a small dog ran", response="under the blue bird"),
]


def drawn(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: list[Example] = EXAMPLES, **changed: float
) -> list[Record]:
    sampling = replace(Sampling(5, temperature=0.7, seed=3, max_new_tokens=6), **changed)  # type: ignore[arg-type]
    return sample_answers(model, tokenizer, examples, sampling, split="forget", formatting=Formatting())


@torch.no_grad()
def by_hand(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    example: Example,
    count: int,
    temperature: float,
    top_p: float,
) -> list[str]:
    """Full forwards without a cache, and multinomial draws from the cut and scaled softmax."""
    ids_KT = torch.tensor([encode(example, tokenizer, Formatting()).prompt_ids]).repeat(count, 1)
    start, over_K = ids_KT.shape[1], torch.zeros(count, dtype=torch.bool)
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(f"3/forget/{example.id}"))
        for _ in range(6):
            p_KV = (model(ids_KT).logits[:, -1] / temperature).softmax(-1)
            sorted_KV, order_KV = p_KV.sort(descending=True)
            cut_KV = sorted_KV.cumsum(-1) - sorted_KV >= top_p
            p_KV = p_KV.masked_fill(torch.zeros_like(cut_KV).scatter(1, order_KV, cut_KV), 0.0)
            token_K = torch.multinomial(p_KV / p_KV.sum(-1, keepdim=True), 1)[:, 0]
            token_K = torch.where(over_K, tokenizer.pad_token_id, token_K)
            over_K |= token_K == tokenizer.eos_token_id
            ids_KT = torch.cat([ids_KT, token_K[:, None]], 1)
            if over_K.all():
                break
    return [text.strip() for text in tokenizer.batch_decode(ids_KT[:, start:], skip_special_tokens=True)]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_they_are_the_draws_of_a_loop_over_full_forwards(family: str, top_p: float) -> None:
    model, tokenizer = tiny_model(family, head_scale=0.3), tiny_tokenizer()
    model.generation_config.top_k = 2  # a model's own way of cutting the distribution does not count
    found = drawn(model, tokenizer, top_p=top_p)
    assert [(r.id, r.split) for r in found] == [("a", "forget")] * 5 + [("b", "forget")] * 5
    for example, records in zip(EXAMPLES, (found[:5], found[5:]), strict=True):
        assert [r.generation for r in records] == by_hand(model, tokenizer, example, 5, 0.7, top_p)
    assert len({r.generation for r in found}) > 2
    first = found[0]
    assert (first.prompt, first.answer, first.cluster, first.kind, first.score) == (
        "the cat",
        "sat on",
        "g",
        "animal",
        None,
    )


def test_a_question_is_answered_alike_whatever_else_is_asked_and_random_state_and_mode_stay() -> None:
    model, tokenizer = tiny_model("llama", head_scale=0.3), tiny_tokenizer()
    model.train()
    state = torch.get_rng_state()
    together = drawn(model, tokenizer)
    assert torch.equal(state, torch.get_rng_state()) and model.training
    assert drawn(model, tokenizer, [EXAMPLES[1]]) == together[5:]
    assert drawn(model, tokenizer, seed=4) != together


def test_a_question_without_room_is_named() -> None:
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    long = Example(id="long", prompt=" ".join(["cat"] * 140), response="dog")
    with pytest.raises(DataError, match=r"long: its question fills all of the model's positions"):
        drawn(model, tokenizer, [long])
