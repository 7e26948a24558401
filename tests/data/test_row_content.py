"""What a row says follows from its columns: question and answer, document, conversation, or token ids."""

from __future__ import annotations

import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message, content_id
from forgetting.data.examples import to_example
from forgetting.data.source import Source


def one(row: dict, **keys: object) -> Example:
    return to_example(row, "facts.jsonl:17", Source(path="facts.jsonl", **keys))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "response": "a"},
        {"question": "q", "answer": "a"},
        {"instruction": "q", "output": "a"},
        {"query": "q", "completion": "a"},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
    ],
)
def test_the_usual_column_names_are_known(row: dict) -> None:
    example = one(row)
    assert (example.prompt, example.response, example.form) == ("q", "a", "qa")
    assert (example.id, example.where) == (content_id("q", "a"), "facts.jsonl:17")


@pytest.mark.parametrize(
    ("row", "keys", "prompt"),
    [
        ({"text": "d"}, {}, ""),
        ({"content": "d", "title": "t"}, {}, ""),
        ({"prompt": "p", "response": "d"}, {"form": "text"}, "p"),
        ({"prefix": "p", "suffix": "d"}, {"form": "text", "columns": {"prompt": "prefix", "response": "suffix"}}, "p"),
    ],
)
def test_documents_and_continuations_are_texts(row: dict, keys: dict, prompt: str) -> None:
    example = one(row, **keys)
    assert (example.prompt, example.response, example.form) == (prompt, "d", "text")


def test_a_conversation_ends_in_its_prompt_and_response() -> None:
    turns = [("system", "s"), ("user", "u"), ("assistant", "v"), ("user", "q"), ("assistant", "a")]
    example = one({"conversations": [{"role": r, "content": c} for r, c in turns]})
    assert example.context == (Message("system", "s"), Message("user", "u"), Message("assistant", "v"))
    assert (example.prompt, example.response) == ("q", "a")


def test_a_row_of_ids_beside_its_text_is_text_unless_the_source_says_otherwise() -> None:
    row = {"text": "the cat", "token_ids": [4, 5]}
    assert (one(row).form, one(row).token_ids) == ("text", ())
    assert (one(row, form="tokens").form, one(row, form="tokens").token_ids) == ("tokens", (4, 5))
    assert one({"ids": [4, 5]}, form="tokens", columns={"token_ids": "ids"}).token_ids == (4, 5)
    with pytest.raises(DataError, match="no column 'token_ids'"):
        one({"text": "the cat"}, form="tokens")


def test_a_column_that_is_null_in_a_row_belongs_to_other_rows() -> None:
    empty = dict.fromkeys(("messages", "prompt", "response", "text", "token_ids"))
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert one(empty | {"messages": turns}).response == "a"
    pair = one(empty | {"prompt": "q", "response": "a"})
    assert (pair.prompt, pair.response, pair.form) == ("q", "a", "qa")
    for keys in ({}, {"form": "text"}):
        document = one(empty | {"text": "d"}, **keys)
        assert (document.prompt, document.response, document.form) == ("", "d", "text")
    assert one(empty | {"prompt": "p", "response": "d"}, form="text").response == "d"
    assert one(empty | {"token_ids": [4, 5]}).token_ids == (4, 5)
    with pytest.raises(DataError, match="the response is null"):
        one(empty | {"prompt": "q"})


def test_what_an_instruction_is_about_stands_behind_it() -> None:
    row = {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"}
    assert to_example(row, "x:1", Source(path="x.jsonl")).prompt == "Translate.\n\nGuten Tag"
    assert to_example({**row, "input": ""}, "x:1", Source(path="x.jsonl")).prompt == "Translate."


def test_a_column_can_be_named_as_what_an_instruction_is_about() -> None:
    row = {"instruction": "Who?", "context": "Ann came.", "response": "Ann"}
    assert to_example(row, "x:1", Source(path="x.jsonl")).prompt == "Who?"
    mapped = Source(path="x.jsonl", columns={"input": "context"})
    assert to_example(row, "x:1", mapped).prompt == "Who?\n\nAnn came."


def test_an_input_alone_is_the_prompt() -> None:
    row = {"input": "2 + 2", "output": "4"}
    assert to_example(row, "x:1", Source(path="x.jsonl")).prompt == "2 + 2"
    asked = {"question": "2 + 2", "input": "unrelated", "answer": "4"}
    assert to_example(asked, "x:1", Source(path="x.jsonl")).prompt == "2 + 2"
