"""A model that is asked behind shots: records equal a plain forward of the whole prompt, and stops end answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.data.shots import Shot, Shots
from forgetting.data.source import Source
from forgetting.evaluation.answers import answer
from forgetting.evaluation.cache import shares_cache
from forgetting.evaluation.endings import Ending
from forgetting.evaluation.sampling import Sampling, sample_answers
from forgetting.pipeline.one_model.ask import Asking, answers_of
from tests.data.tokenizers import CHATML, byte_level
from tests.models.tiny import tiny_model

SHOTS = Shots(examples=tuple(Shot(prompt=f"Where is {n}?", response=f"In {n}land.") for n in ("Bo", "Cy", "Di")))
EXAMPLES = [
    Example(id=n, prompt=f"Where is {n}?", response=f"In {n}land {'or not ' * i}", perturbed=("Nowhere.", "At home."))
    for i, n in enumerate(("Ada", "Bo", "Eve", "Fay", "Gus"))
]
PLAIN, CHAT = Formatting(shots=SHOTS, prefix="It is"), Formatting(shots=SHOTS, system="Be brief.")


def loaded(*, chat: bool = False, family: str = "llama") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    tokenizer = byte_level(size=460)
    if chat:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = CHATML
    keys = {"n_positions": 512} if family == "gpt2" else {"max_position_embeddings": 512}
    model = tiny_model(family, vocab=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **keys)
    for parameter in model.parameters():  # decided, so that greedy answers do not hang on rounding
        parameter.data *= 3
    return model.eval(), tokenizer


def forwarded(model: nn.Module, tokenizer: PreTrainedTokenizerFast, example: Example, how: Formatting) -> float:
    row = encode(example, tokenizer, how)
    with torch.no_grad():
        logp_TV = model(torch.tensor([row.ids])).logits[0].double().log_softmax(-1)
    return sum(float(logp_TV[i - 1, row.ids[i]]) for i, w in enumerate(row.weights) if w)


def greedy(model: nn.Module, tokenizer: PreTrainedTokenizerFast, example: Example, how: Formatting, most: int) -> str:
    """Token by token, without a cache, cut at the first end."""
    prompt = encode(example, tokenizer, how).prompt_ids
    ids = list(prompt)
    with torch.no_grad():
        while len(ids) < len(prompt) + most and (len(ids) == len(prompt) or ids[-1] != tokenizer.eos_token_id):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    text = tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    cut = min((text.index(stop) for stop in how.stops(tokenizer) if stop in text), default=len(text))
    return text[:cut].strip()


@pytest.mark.parametrize("how", [PLAIN, CHAT], ids=["plain", "chat"])
def test_scores_equal_a_plain_forward_of_the_whole_prompt(how: Formatting) -> None:
    model, tokenizer = loaded(chat=how is CHAT)
    records = answer(model, tokenizer, EXAMPLES, split="forget", formatting=how, max_new_tokens=0)
    for example, record in zip(EXAMPLES, records, strict=True):
        assert record.score is not None
        assert record.score.logp == pytest.approx(forwarded(model, tokenizer, example, how), rel=1e-5)
        bare = forwarded(model, tokenizer, example, how.model_copy(update={"shots": None}))
        assert abs(record.score.logp - bare) > 1e-3, "the shots change what the model says"


@pytest.mark.parametrize("how", [PLAIN, CHAT], ids=["plain", "chat"])
def test_batch_mates_change_no_record(how: Formatting) -> None:
    model, tokenizer = loaded(chat=how is CHAT)
    asked = {"split": "forget", "formatting": how, "max_new_tokens": 12}
    together = answer(model, tokenizer, EXAMPLES, **asked)
    for example, record in zip(EXAMPLES, together, strict=True):
        (alone,) = answer(model, tokenizer, [example], **asked)
        assert alone.generation == record.generation
        assert alone.score.logp == pytest.approx(record.score.logp, rel=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("other_way", [False, True], ids=["own decoding", "generate"])
def test_an_answer_ends_at_its_first_stop_and_the_others_go_on(family: str, other_way: bool) -> None:
    model, tokenizer = loaded(family=family)
    free = Formatting(shots=SHOTS, stop=())
    if other_way:
        model.generation_config.suppress_tokens = [tokenizer.eos_token_id]
    most = 24
    whole = answer(model, tokenizer, EXAMPLES, split="s", formatting=free, max_new_tokens=most)
    texts = [record.generation or "" for record in whole]
    stops = (texts[0][3:5], texts[2][6:9])  # as these two write them, somewhere within
    assert all(stop.strip() for stop in stops)
    how = free.model_copy(update={"stop": stops})
    found = answer(model, tokenizer, EXAMPLES, split="s", formatting=how, max_new_tokens=most)
    expected = [greedy(model, tokenizer, e, how, most) for e in EXAMPLES] if not other_way else [
        text[: min((text.index(s) for s in stops if s in text), default=len(text))].strip() for text in texts
    ]  # fmt: skip
    assert [record.generation for record in found] == expected
    assert found[0].generation != texts[0] and found[2].generation != texts[2]


def test_rows_that_have_stopped_are_not_decoded_further(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = loaded()
    assert shares_cache(model, 100)
    free = Formatting(shots=SHOTS, stop=())
    texts = [r.generation or "" for r in answer(model, tokenizer, EXAMPLES, split="s", formatting=free,
                                                max_new_tokens=40)]  # fmt: skip
    steps: list[int] = []
    inner = type(model.model).forward

    def counted(self: nn.Module, *args: object, **keys: object) -> object:
        ids = keys["input_ids"]
        steps.append(ids.shape[0] if ids.shape[1] == 1 else 0)  # type: ignore[attr-defined]
        return inner(self, *args, **keys)

    monkeypatch.setattr(type(model.model), "forward", counted)

    def rows(stop: tuple[str, ...]) -> int:
        steps.clear()
        how = free.model_copy(update={"stop": stop})
        answer(model, tokenizer, EXAMPLES, split="s", formatting=how, max_new_tokens=40)
        return sum(steps)

    assert rows(tuple(text[2:4] for text in texts)) < rows(()) / 2


def test_a_stop_that_two_tokens_write_is_seen_and_a_token_of_the_end_counts_first() -> None:
    model, tokenizer = loaded()
    ending = Ending.of(model, tokenizer, ["\n\n", "Q:"])
    ids = [tokenizer(piece, add_special_tokens=False).input_ids[0] for piece in ("\n", "\n", "Q", ":")]
    assert not ending.ended(ids[:1]) and ending.ended(ids[:2]) and ending.ended(ids[2:])
    assert ending.ended([tokenizer.eos_token_id])
    assert ending.words(tokenizer("One\nTwo\n\nThree Q: Four", add_special_tokens=False).input_ids) == "One\nTwo"


@pytest.mark.parametrize("stops", [("day", "Sunday"), ("Sunday", "day")])
def test_the_first_of_stops_that_overlap_is_the_one_that_begins_first_in_any_order(stops: tuple[str, ...]) -> None:
    model, tokenizer = loaded()
    written = tokenizer("On Sunday, or another day", add_special_tokens=False).input_ids
    assert Ending.of(model, tokenizer, stops).words(written) == "On"


def test_an_answer_in_another_form_is_not_scored_behind_its_own_question() -> None:
    model, tokenizer = loaded()
    example = Example(
        id="Bo", prompt="Where is Bo?", response="In Boland.", paraphrased_prompt="Bo is where?",
        paraphrased="Boland has Bo.", perturbed=("Nowhere.",),
    )  # fmt: skip
    shots = SHOTS.model_copy(update={"count": 2, "source": Source(path="other.jsonl")})
    how = PLAIN.model_copy(update={"shots": shots})
    (record,) = answer(model, tokenizer, [example], split="retain", formatting=how, max_new_tokens=0)
    other = Example(id="p", prompt="Bo is where?", response="Boland has Bo.")
    without = SHOTS.model_copy(update={"examples": tuple(s for s in SHOTS.examples or () if "Bo" not in s.prompt)})
    right = forwarded(model, tokenizer, other, how.model_copy(update={"shots": without}))
    assert record.paraphrase is not None and record.paraphrase.logp == pytest.approx(right, rel=1e-5)


def test_samples_and_questions_end_at_the_stops_too() -> None:
    model, tokenizer = loaded()
    free = Formatting(shots=SHOTS, stop=())
    sampling = Sampling(2, temperature=1.0, max_new_tokens=24, seed=3)
    drawn = [r.generation or "" for r in sample_answers(model, tokenizer, EXAMPLES, sampling, split="s",
                                                        formatting=free)]  # fmt: skip
    stop = drawn[0][4:6]
    how = free.model_copy(update={"stop": (stop,)})
    cut = [r.generation for r in sample_answers(model, tokenizer, EXAMPLES, sampling, split="s", formatting=how)]
    assert cut[0] == drawn[0].partition(stop)[0].strip()
    asking = Asking(max_new_tokens=24)
    questions = [e.prompt for e in EXAMPLES]
    texts = [a.text for a in answers_of(model, tokenizer, questions, free, asking)]
    stop = texts[0][4:6]
    how = free.model_copy(update={"stop": (stop,)})
    found = [a.text for a in answers_of(model, tokenizer, questions, how, asking)]
    assert found == [text.partition(stop)[0].strip() for text in texts] and found[0] != texts[0]
