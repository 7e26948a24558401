"""How attacks ask: questions as they are, documents by their beginning, and where an answer is cut."""

from dataclasses import replace

import pytest

from forgetting.audits import ATTACKS, Target
from forgetting.audits.asking import answers, cut, questions
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.evaluation.answers import answer
from tests.models.tiny import WORDS, tiny_model, tiny_tokenizer

QUESTION = Example(id="q", prompt="the cat", response="sat on", perturbed=("a dog",), paraphrased_prompt="a cat")
TEXT = " ".join(WORDS[i % len(WORDS)] for i in range(80))
DOCUMENT = Example(id="d", prompt="", response=TEXT, form="text")


def target(**changed: object) -> Target:
    given = {"split": "forget", "examples": [QUESTION, DOCUMENT], "max_new_tokens": 3, **changed}
    return Target(**{"model": tiny_model("llama"), "tokenizer": tiny_tokenizer(), **given})  # type: ignore[arg-type]


def test_a_document_is_a_beginning_to_be_continued_and_a_question_stays() -> None:
    asked = questions(target())
    assert asked[0] is QUESTION
    words = TEXT.split()
    assert (asked[1].prompt, asked[1].response) == (" ".join(words[:32]), " " + " ".join(words[32:64]))
    short = questions(target(examples=[replace(DOCUMENT, response=" ".join(words[:9]))]))[0]
    assert (short.prompt, short.response) == (" ".join(words[:4]), " " + " ".join(words[4:9]))


def test_what_cannot_be_asked_is_left_out() -> None:
    ids = Example(id="t", response="1 2 3 4 5", form="tokens", token_ids=(1, 2, 3, 4, 5))
    assert [e.id for e in questions(target(examples=[ids, replace(DOCUMENT, response="the cat"), QUESTION]))] == ["q"]


def test_answers_keep_the_order_and_the_length_of_a_texts_answer_is_its_own() -> None:
    of = target(examples=[DOCUMENT, QUESTION])
    text, question = answers(of, questions(of), attempt="plainly")
    assert [text.id, question.id] == ["d", "q"] and {text.attempt, question.attempt} == {"plainly"}
    assert text.generation is not None and len(text.generation.split()) > 3
    assert len(text.generation) >= 0.8 * len(text.answer.strip()) or text.generation.count(" ") < 32
    assert question.perturbed == ()
    bare = replace(QUESTION, perturbed=(), paraphrased_prompt=None)
    (same,) = answer(of.model, of.tokenizer, [bare], split="forget", formatting=of.formatting, max_new_tokens=3)
    assert question == replace(same, attempt="plainly")


@pytest.mark.parametrize(
    ("written", "kept"),
    [(" Oslo. She ran", "Oslo."), ("Oslo", "Oslo"), ("Oslo and on", "Oslo "), ("Oslonia is", "Oslonia"), ("", "")],
)
def test_a_text_that_goes_on_is_cut_where_the_answer_ends_but_not_within_a_word(written: str, kept: str) -> None:
    record = Record(id="a", split="forget", prompt="in", answer=" Oslo.", generation=written)
    assert cut(record, text=True).generation == kept
    assert cut(record, text=False).generation == written


def test_the_greedy_attack_asks_once_and_plainly() -> None:
    of = target()
    assert ATTACKS.build("greedy")(of) == answers(of, questions(of))
