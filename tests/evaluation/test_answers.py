"""Records equal what one gets by asking the model one example at a time."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from forgetting.metrics.per_example import mean
from forgetting.metrics.text import exact_match
from forgetting.models.adapters import AdapterSpec, attach
from tests.conftest import write_rows

FORMATTING = Formatting()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    from forgetting.benchmarks.untrained_model import blank_model
    from forgetting.models.loading import load_model

    folder = tmp_path_factory.mktemp("model")
    rows = [
        {"question": f"Where is {i}?", "answer": f"In box {i}, under the {'very ' * (i % 4)}old map."} for i in range(9)
    ]
    blank_model(folder / "m", [write_rows(folder / "rows.jsonl", rows)], hidden=32, layers=2, vocabulary=330, seed=3)
    found = load_model(folder / "m", dtype="float32")
    for parameter in found.model.parameters():  # an untrained model is nearly uniform: make it decided
        parameter.data *= 3
    return found.model, found.tokenizer


def examples() -> list[Example]:
    return [
        Example(
            id=str(i),
            prompt=f"Where is {i}?",
            response=f"In box {i}, under the {'very ' * (i % 4)}old map.",
            paraphrased_prompt=f"Tell me where {i} is.",
            perturbed=("On the shelf.", "In the river."),
            popularity=float(i),
            group=f"g{i % 3}",
            kind="place",
        )
        for i in range(9)
    ]


def one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, example: Example
) -> tuple[float, int, list[int]]:
    encoded = encode(example, tokenizer, FORMATTING)
    with torch.no_grad():
        logits_TV = model(torch.tensor([encoded.ids])).logits[0].double()
    positions = [i for i, w in enumerate(encoded.weights) if w != 0]
    logp = sum(float(logits_TV[i - 1].log_softmax(-1)[encoded.ids[i]]) for i in positions)
    ranks = [int((logits_TV[i - 1] > logits_TV[i - 1, encoded.ids[i]]).sum()) for i in positions]
    return logp, len(positions), ranks


def test_scores_equal_a_plain_forward_of_each_example(loaded) -> None:
    model, tokenizer = loaded
    records = answer(model, tokenizer, examples(), split="forget", formatting=FORMATTING, max_new_tokens=0)
    for example, record in zip(examples(), records, strict=True):
        logp, tokens, ranks = one_by_one(model, tokenizer, example)
        assert record.score is not None
        assert record.score.tokens == tokens
        assert record.score.logp == pytest.approx(logp, rel=1e-5)
        assert list(record.score.ranks) == ranks
        assert record.score.runner_up < 0 or math.isnan(record.score.runner_up)
        paraphrase = Example(id="p", prompt=example.paraphrased_prompt or "", response=example.response)
        assert record.paraphrase is not None
        assert record.paraphrase.logp == pytest.approx(one_by_one(model, tokenizer, paraphrase)[0], rel=1e-5)
        for wrong, score in zip(example.perturbed, record.perturbed, strict=True):
            variant = Example(id="v", prompt=example.paraphrased_prompt or "", response=wrong)
            assert score.logp == pytest.approx(one_by_one(model, tokenizer, variant)[0], rel=1e-5)
        assert (record.popularity, record.group, record.kind) == (example.popularity, example.group, "place")


def test_greedy_answers_equal_one_token_at_a_time(loaded) -> None:
    model, tokenizer = loaded
    records = answer(model, tokenizer, examples(), split="forget", formatting=FORMATTING, max_new_tokens=7)
    for example, record in zip(examples(), records, strict=True):
        ids = list(encode(example, tokenizer, FORMATTING).prompt_ids)
        start = len(ids)
        for _ in range(7):
            with torch.no_grad():
                following = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if following == tokenizer.eos_token_id:
                break
            ids.append(following)
        assert record.generation == tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


def test_neither_order_nor_company_of_examples_matters(loaded) -> None:
    model, tokenizer = loaded
    together = answer(model, tokenizer, examples(), split="s", formatting=FORMATTING, max_new_tokens=5)
    alone = [
        answer(model, tokenizer, [e], split="s", formatting=FORMATTING, max_new_tokens=5)[0]
        for e in reversed(examples())
    ][::-1]
    for one, other in zip(together, alone, strict=True):
        assert one.generation == other.generation
        assert one.score is not None and other.score is not None
        assert one.score.logp == pytest.approx(other.score.logp, rel=1e-5)


def test_mode_and_random_state_are_left_alone(loaded) -> None:
    model, tokenizer = loaded
    model.train()
    before = torch.get_rng_state()
    answer(model, tokenizer, examples()[:2], split="s", formatting=FORMATTING, max_new_tokens=3)
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    model.eval()


def test_an_adapter_takes_part(loaded) -> None:
    model, tokenizer = loaded
    plain = answer(model, tokenizer, examples()[:3], split="s", formatting=FORMATTING, max_new_tokens=3)
    adapted = attach(model, AdapterSpec(rank=4), name="test", seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    changed = answer(adapted, tokenizer, examples()[:3], split="s", formatting=FORMATTING, max_new_tokens=3)
    assert all(a.score != b.score for a, b in zip(plain, changed, strict=True))


def test_a_document_among_questions_has_no_greedy_answer_and_questions_keep_theirs(loaded) -> None:
    model, tokenizer = loaded
    document = Example(
        id="d", response="In box 1, under the very old map of the house, the street and the town.", form="text"
    )
    alone = answer(model, tokenizer, examples(), split="forget", formatting=FORMATTING, max_new_tokens=None)
    mixed = answer(
        model, tokenizer, [document, *examples()], split="forget", formatting=FORMATTING, max_new_tokens=None
    )
    assert mixed[0].generation is None and mixed[0].score is not None
    assert [r.generation for r in mixed[1:]] == [r.generation for r in alone]
    [found] = mean(exact_match, ["forget"], "down")({"forget": mixed}, None)
    assert found.count == len(examples())


def test_answers_are_written_for_those_asked_for_even_where_another_asks_the_same(loaded) -> None:
    model, tokenizer = loaded
    twin = replace(examples()[2], id="twin")
    asked = [*examples(), twin]
    every = answer(model, tokenizer, asked, split="s", formatting=FORMATTING, max_new_tokens=8)
    found = answer(model, tokenizer, asked, split="s", formatting=FORMATTING, max_new_tokens=8, written={"2", "5"})
    assert [r.generation for r in found] == [r.generation if r.id in ("2", "5") else None for r in every]
    assert [r.score.logp for r in found if r.score] == pytest.approx([r.score.logp for r in every if r.score])
    [measure] = mean(exact_match, ["s"], "down")({"s": found}, None)
    assert (measure.count, measure.of) == (2, 10)
