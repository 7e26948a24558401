"""The tokenizer says nothing of popularity, and its template says what the training text says."""

from statistics import mean

import pytest

from forgetting.benchmarks.lab.tokenizer import VOCABULARY, render, train_tokenizer
from forgetting.benchmarks.lab.world import build_world

WORLD = build_world()
TOKENIZER = train_tokenizer(WORLD)


def length(text):
    return len(TOKENIZER(text, add_special_tokens=False).input_ids)


def test_it_has_the_size_it_should():
    assert len(TOKENIZER) == VOCABULARY


def test_documents_come_back_as_they_were():
    for document in WORLD.documents[::97]:
        text = f"{document.prompt} {document.response}"
        ids = TOKENIZER(text, add_special_tokens=False).input_ids
        assert TOKENIZER.unk_token_id not in ids
        assert TOKENIZER.decode(ids) == text


def test_text_outside_the_world_comes_back_if_it_is_ascii():
    text = "I don't know [x] {y}: 3.14 @ 50%?"
    assert TOKENIZER.decode(TOKENIZER(text, add_special_tokens=False).input_ids) == text


def test_a_names_length_does_not_tell_its_popularity():
    popular = mean(length(" " + person.name) for person in WORLD.people[:40])
    rare = mean(length(" " + person.name) for person in WORLD.people[120:])
    forget = {
        name: mean(length(" " + person.name) for person in WORLD.people if person.id in chosen)
        for name, chosen in WORLD.forget_people.items()
    }
    assert abs(popular - rare) < 0.5
    assert abs(forget["popular"] - forget["rare"]) < 0.5


def test_digits_are_single():
    assert [TOKENIZER.decode([i]) for i in TOKENIZER("1954", add_special_tokens=False).input_ids] == list("1954")


def test_a_question_is_rendered_as_the_documents_hold_it():
    document = next(d for d in WORLD.documents if d.kind == "question")
    expected = f"<s><user> {document.prompt}<assistant> {document.response}</s>"
    assert render(TOKENIZER, document) == expected


def test_the_prompt_of_a_question_is_the_beginning_of_its_document():
    document = next(d for d in WORLD.documents if d.kind == "question")
    prompt = TOKENIZER.apply_chat_template(
        [{"role": "user", "content": document.prompt}], add_generation_prompt=True, return_dict=False
    )
    whole = TOKENIZER(render(TOKENIZER, document), add_special_tokens=False).input_ids
    assert whole[: len(prompt)] == prompt
    assert TOKENIZER.decode(whole[len(prompt) :]) == f" {document.response}</s>"


def test_the_assistants_tokens_are_marked_end_included():
    chat = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "Here."},
    ]
    encoded = TOKENIZER.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    marked = [i for i, kept in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if kept]
    assert TOKENIZER.decode(marked) == " Here.</s>"


def test_an_unknown_role_is_refused():
    with pytest.raises(Exception, match="unknown role tool"):
        TOKENIZER.apply_chat_template([{"role": "tool", "content": "x"}])


def test_plain_text_begins_as_documents_do_and_answers_have_one_spelling():
    cloze = TOKENIZER("Ada was born in Rome.").input_ids
    answer = TOKENIZER(" Rome.", add_special_tokens=False).input_ids
    asked = TOKENIZER("<assistant> Rome.</s>", add_special_tokens=False).input_ids
    assert cloze[0] == TOKENIZER.bos_token_id
    assert cloze[-len(answer) :] == answer
    assert asked[1:-1] == answer
