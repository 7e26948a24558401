"""A writer's texts are the model's own: greedy as by hand, drawn by the seed, each the same in any company."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.core.progress import SILENT, Voice
from forgetting.forget_sets.writer import Writer
from forgetting.models.loading import LoadedModel, load_model

STARTS = ["Where does guest 1 live?", "Who?", "What does cook 3 serve?", "Name 5.", "What does cook 2 serve?"]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}"
)


@pytest.fixture
def loaded(world: Path) -> LoadedModel:
    found = load_model(world / "model", dtype="float32")
    with torch.no_grad():
        for weight in found.model.parameters():
            weight.mul_(6.0)  # the blank model finds all tokens alike, so that nothing could be told apart
    return found


def ids_of(loaded: LoadedModel, text: str) -> tuple[int, ...]:
    return tuple(loaded.tokenizer(text).input_ids)


def by_hand(loaded: LoadedModel, prompt: tuple[int, ...], tokens: int) -> tuple[str, bool]:
    """The most likely token each time, until the end token."""
    end = loaded.tokenizer.eos_token_id
    written: list[int] = []
    while len(written) < tokens and end not in written:
        with torch.no_grad():
            written.append(int(loaded.model(torch.tensor([[*prompt, *written]])).logits[0, -1].argmax()))
    return loaded.tokenizer.decode([i for i in written if i != end]), end in written


def test_greedy_texts_are_those_of_one_token_at_a_time(loaded: LoadedModel) -> None:
    prompts = [ids_of(loaded, text) for text in STARTS]
    progress: list[tuple[int, int]] = []
    voice = Voice(progress=lambda done, total, note: progress.append((done, total)))
    found = Writer(loaded, 5, 0).written(prompts, temperature=0.0, what="x", voice=voice)
    assert found == [by_hand(loaded, prompt, 5) for prompt in prompts]
    assert len({text for text, _ in found}) > 2, "the test must be able to fail"
    assert progress[-1] == (5, 5)


def test_a_text_that_ends_says_so(loaded: LoadedModel) -> None:
    prompt = ids_of(loaded, STARTS[0])
    second = int(loaded.tokenizer(by_hand(loaded, prompt, 1)[0]).input_ids[0])
    with torch.no_grad():  # the likeliest token by far is the end
        head = loaded.model.get_output_embeddings().weight
        head[loaded.tokenizer.eos_token_id] = 50 * head[second]
    expected = by_hand(loaded, prompt, 8)
    assert Writer(loaded, 8, 0).written([prompt], temperature=0.0, what="x", voice=SILENT) == [expected]
    assert expected[1], "the test must be able to fail"


def test_what_is_drawn_depends_on_seed_and_purpose_alone(loaded: LoadedModel) -> None:
    def drawn(seed: int, what: str) -> list[str]:
        return [text for text, _ in Writer(loaded, 6, seed).continuations(STARTS, what=what, voice=SILENT)]

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = drawn(3, "retain")
    assert torch.equal(torch.random.get_rng_state(), before), "other draws are left as they were"
    torch.manual_seed(2)
    assert drawn(3, "retain") == first
    assert drawn(4, "retain") != first and drawn(3, "questions") != first


def test_a_drawn_token_has_the_models_own_distribution(loaded: LoadedModel) -> None:
    """One token after one prompt, 1,600 times in 100 batches: the share of each token is near its probability."""
    prompt = ids_of(loaded, STARTS[1])
    with torch.no_grad():
        likely = torch.softmax(loaded.model(torch.tensor([prompt])).logits[0, -1], -1)
    found = Writer(loaded, 1, 0).written([prompt] * 1600, temperature=1.0, what="x", voice=SILENT)
    shares: Counter[str] = Counter()
    for token, share in enumerate(likely.tolist()):
        shares["" if token == loaded.tokenizer.eos_token_id else loaded.tokenizer.decode([token])] += share
    for text, share in shares.most_common(5):
        got = sum(one == text for one, _ in found) / 1600
        assert abs(got - share) < 5 * (share * (1 - share) / 1600) ** 0.5, (text, got, share)


def test_a_model_with_a_chat_template_is_asked_and_another_goes_on_with_the_start(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    replies = iter([" one\ntwo ", "<think>hm</think> said ", "plain"])

    def written(self: Writer, prompts: list[tuple[int, ...]], **_: object) -> list[tuple[str, bool]]:
        seen.extend(prompts)
        return [(next(replies), True) for _ in prompts]

    monkeypatch.setattr(Writer, "written", written)
    asked = [("Say it.", "It is said:")]
    writer = Writer(loaded, 4, 0)
    assert writer.answers(asked, temperature=0.0, what="x", voice=SILENT) == ["one"]
    assert seen.pop() == ids_of(loaded, "It is said:")
    loaded.tokenizer.chat_template = TEMPLATE
    assert writer.answers(asked, temperature=0.0, what="x", voice=SILENT) == ["said"]
    shown = tuple(loaded.tokenizer("<user>Say it.<answer>", add_special_tokens=False).input_ids)
    assert seen.pop() == shown


def test_the_end_that_a_tokenizer_adds_is_no_part_of_a_start(loaded: LoadedModel) -> None:
    class Ending:
        """A tokenizer that ends every text, as some do."""

        def __init__(self) -> None:
            self.inner = loaded.tokenizer

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        def __len__(self) -> int:
            return len(self.inner)

        def __call__(self, text: str, **keys: object) -> object:
            found = self.inner(text, **keys)
            found["input_ids"] = [*found["input_ids"], self.inner.eos_token_id]
            return found

    plain = ids_of(loaded, "Name 5.")
    ended = Writer(replace(loaded, tokenizer=Ending()), 4, 0)
    assert ended._ids("Name 5.") == plain
    assert Writer(loaded, 4, 0)._ids("") in (
        (loaded.tokenizer.bos_token_id,),
        (loaded.pad_id,),
    ), "with nothing to start from, a start token"


def test_the_room_for_a_text_is_what_instruction_and_two_answers_leave(loaded: LoadedModel) -> None:
    positions = loaded.model.config.max_position_embeddings
    instruction = len(loaded.tokenizer("Say it in other words. " * 4).input_ids)
    tokens = (positions - instruction - 16) // 2
    assert Writer(loaded, tokens, 0).room == positions - 2 * tokens - instruction
    with pytest.raises(ModelError, match=f"made for {positions} positions, which leave no room .* lower --tokens"):
        _ = Writer(loaded, tokens + 1, 0).room


def test_every_batch_has_a_seed_of_its_own(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    real = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: (seeds.append(seed), real(seed))[1])
    prompts = [ids_of(loaded, STARTS[1])] * 17 + [ids_of(loaded, STARTS[0])]
    Writer(loaded, 1, 9).written(prompts, temperature=1.0, what="x", voice=SILENT)
    assert seeds == [zlib.crc32(f"9 x {number}".encode()) for number in range(3)]
