"""The attack that shows other questions and answers before it asks."""

from dataclasses import replace

import pytest

from forgetting.audits import ATTACKS, Target
from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example, Message
from forgetting.core.record import Record
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

ASKED = [
    Example(id=f"f{i}", prompt=f"the {WORDS[i]} cat", response=f"{WORDS[i + 1]} dog", perturbed=("x",))
    for i in range(3)
]
RETAIN = [Example(id=f"r{i}", prompt=f"a {w} bird", response=f"flew {w}", group=f"g{i}") for i, w in enumerate(WORDS)]
TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"


def target(**changed: object) -> Target:
    given = {"split": "forget", "examples": ASKED, "retain": RETAIN, "seed": 2, "max_new_tokens": 3, **changed}
    return Target(**{"model": tiny_model("llama"), "tokenizer": tiny_tokenizer(), **given})  # type: ignore[arg-type]


def attacked(of: Target, **parameters: int) -> list[Record]:
    return list(ATTACKS.build("context", parameters)(of))


def shown(prompt: str) -> list[tuple[str, str]]:
    """The questions and answers before the last question, as the plain template writes them."""
    parts = [p.removeprefix("Question: ") for p in prompt.split("\n\n")[:-1]]
    return [tuple(p.split("\nAnswer: ")) for p in parts]  # type: ignore[misc]


def test_each_question_stands_after_k_retain_pairs_in_the_plain_format() -> None:
    found = attacked(target(), shots=3, draws=2)
    assert [r.id for r in found] == ["f0", "f1", "f2"] * 2
    pairs = {(e.prompt, e.response) for e in RETAIN}
    for record in found:
        before = shown(record.prompt)
        assert len(before) == len(set(before)) == 3 and set(before) <= pairs
        own = next(e for e in ASKED if e.id == record.id)
        assert record.prompt.endswith(f"\n\nQuestion: {own.prompt}") and record.answer == own.response
    assert found[0].prompt != found[3].prompt
    assert not {e.prompt for e in ASKED} & {q for r in found for q, _ in shown(r.prompt)}


@pytest.mark.parametrize("retain", [[], [Example(id="t", prompt="a bird", response=" flew", form="text")]])
def test_where_nothing_can_be_shown_it_is_refused_and_not_asked_plainly(retain: list[Example]) -> None:
    with pytest.raises(DataError, match="the run has no retain data in the form of its forget data"):
        attacked(target(retain=retain))
    assert [r.id for r in attacked(target(retain=retain, split="holdout"), draws=1)] == ["f0", "f1", "f2"]


def test_the_records_are_those_of_the_changed_question() -> None:
    of = target()
    record = attacked(of, shots=2, draws=1)[1]
    example = replace(ASKED[1], prompt=record.prompt, perturbed=())
    same = answer(of.model, of.tokenizer, [example], split="forget", formatting=Formatting(), max_new_tokens=3)[0]
    assert (record.generation, record.score.tokens) == (same.generation, same.score.tokens)
    assert record.score.logp == pytest.approx(same.score.logp, rel=1e-5)


def test_the_same_seed_shows_the_same_to_every_model_and_another_seed_does_not() -> None:
    prompts = [[r.prompt for r in attacked(target(model=tiny_model("llama", seed=s)))] for s in (0, 1)]
    assert prompts[0] == prompts[1]
    assert prompts[0] != [r.prompt for r in attacked(target(seed=3))]


def test_neither_the_questions_own_group_nor_its_answer_is_shown() -> None:
    retain = [
        Example(id="same", prompt="a red bird", response="red dog", group="family"),
        Example(id="gives", prompt="a blue bird", response="Red  dog."),
        Example(id="other", prompt="a green bird", response="green dog"),
        Example(id="text", prompt="a big bird", response=" big dog", form="text"),
    ]
    asked = [Example(id="f", prompt="the cat", response="red dog", group="family")]
    found = attacked(target(examples=asked, retain=retain), shots=4, draws=1)
    assert shown(found[0].prompt) == [("a green bird", "green dog")]


def test_with_a_chat_template_they_are_earlier_turns() -> None:
    of = target(tokenizer=tiny_tokenizer(chat_template=TEMPLATE), formatting=Formatting(system="small"))
    asked = [replace(ASKED[0], context=(Message("user", "over"), Message("assistant", "under")))]
    record = attacked(replace(of, examples=asked), shots=2, draws=1)[0]
    assert record.prompt == ASKED[0].prompt
    drawn = [(e, o) for e in RETAIN for o in RETAIN if e is not o]
    turns = [
        (
            Message("user", a.prompt),
            Message("assistant", a.response),
            Message("user", b.prompt),
            Message("assistant", b.response),
        )
        for a, b in drawn
    ]
    expected = [replace(asked[0], context=(*t, *asked[0].context), perturbed=()) for t in turns]
    scores = [
        r.score.logp
        for r in answer(of.model, of.tokenizer, expected, split="forget", formatting=of.formatting, max_new_tokens=0)
    ]
    assert min(abs(record.score.logp - s) for s in scores) < 1e-4
    plain = answer(of.model, of.tokenizer, asked, split="forget", formatting=of.formatting, max_new_tokens=0)[0]
    assert abs(plain.score.logp - record.score.logp) > 1e-3


def test_a_text_stands_after_texts() -> None:
    retain = [Example(id=str(i), prompt=f"a {w} bird", response=f" flew {w}", form="text") for i, w in enumerate(WORDS)]
    asked = [Example(id="f", prompt="the cat", response=" ran", form="text")]
    record = attacked(target(examples=asked, retain=retain), shots=2, draws=1)[0]
    parts = record.prompt.split("\n\n")
    assert parts[-1] == "the cat" and set(parts[:-1]) <= {e.prompt + e.response for e in retain} and len(parts) == 3


def test_what_does_not_fit_into_the_models_positions_is_not_shown() -> None:
    wide = [Example(id=f"w{i}", prompt=" ".join([w] * 40), response="dog") for i, w in enumerate(WORDS)]
    of = target(retain=wide)
    for record in attacked(of, shots=5, draws=1):
        assert 1 <= len(shown(record.prompt)) <= 2  # 128 positions
        assert record.generation is not None
        example = replace(ASKED[0], prompt=record.prompt)
        assert len(encode(example, of.tokenizer, of.formatting).ids) <= 128


@pytest.mark.parametrize("parameter", ["shots", "draws"])
def test_less_than_one_is_refused(parameter: str) -> None:
    with pytest.raises(RecipeError, match=f"{parameter} is 0"):
        ATTACKS.build("context", {parameter: 0})
