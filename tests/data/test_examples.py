"""Rows become examples by their columns; a row that cannot be used is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.examples import load_examples, overlap, read_examples, to_example
from forgetting.data.source import Source


def source(**keys: object) -> Source:
    return Source(path="facts.jsonl", **keys)  # type: ignore[arg-type]


def one(row: dict, **keys: object) -> Example:
    return to_example(row, "facts.jsonl:17", source(**keys))


def load(folder: Path, rows: list[dict], **keys: object) -> list[Example]:
    file = folder / "facts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_examples(Source(path=str(file), **keys))  # type: ignore[arg-type]


def test_conversations_that_differ_in_an_earlier_turn_are_two_examples(tmp_path: Path) -> None:
    def conversation(first: str) -> dict:
        turns = [("user", first), ("assistant", "Ok."), ("user", "And then?"), ("assistant", "Stop.")]
        return {"messages": [{"role": r, "content": c} for r, c in turns]}

    assert len(load(tmp_path, [conversation("one"), conversation("two"), conversation("one")])) == 2


def test_everything_an_example_may_hold_is_read() -> None:
    example = one(
        {
            "id": 0,
            "question": "q",
            "answer": "a",
            "paraphrased_question": "q2",
            "paraphrased_answer": "a2",
            "perturbed_answer": ["x", "y"],
            "pop_sum": "3.5",
            "group": 0,
            "relation": "born in",
            "weight": -2,
            "subject": "Ada",
        }
    )
    assert (example.id, example.group, example.kind, example.weight) == ("0", "0", "born in", -2.0)
    assert (example.paraphrased_prompt, example.paraphrased, example.perturbed) == ("q2", "a2", ("x", "y"))
    assert example.popularity == 3.5 and dict(example.fields) == {"id": 0, "subject": "Ada"}


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_a_value_that_is_not_there_is_missing(missing: object) -> None:
    example = one({"prompt": "q", "response": "a", "popularity": missing, "weight": missing})
    assert (example.popularity, example.weight) == (None, 1.0)


def test_columns_can_be_mapped() -> None:
    example = one(
        {"prompt": "not this", "ask": "q", "say": "a", "key": 7},
        columns={"prompt": "ask", "response": "say", "id": "key"},
    )
    assert (example.prompt, example.response, example.id) == ("q", "a", "7")


@pytest.mark.parametrize(
    ("row", "keys", "message"),
    [
        ({"frage": "q", "answer": "a"}, {}, r"no column for the prompt \(looked for prompt, question, .*; the row has"),
        ({"question": "q"}, {}, r"no column for the response .* map it with columns: \{response: …\}"),
        ({"question": "q", "answer": "a"}, {"columns": {"prompt": "qestion"}}, "no column 'qestion' .* 'question'"),
        ({"question": "q", "answer": None}, {}, "the response is null .*, not text"),
        ({"question": 3, "answer": "a"}, {}, r"the prompt is 3 \(int\), not text"),
        ({"question": "q", "answer": " \n"}, {}, "the response is empty, so there is nothing to learn or forget"),
        ({"text": ""}, {}, "the response is empty"),
        ({"text": "\u200b\ufeff "}, {}, "the response is empty"),
        ({"question": " ", "answer": "a"}, {}, "the prompt is empty; fill it, or give the response alone as text"),
        ({"role": "user", "content": "q"}, {}, "is one message of a conversation; write all its messages in one row"),
        ({"question": "q", "answer": "a", "perturbed": "nan"}, {}, "the perturbed answers are .*, which may be a miss"),
        ({"title": "t"}, {"form": "text"}, "no column for the text"),
        ({"prompt": "q", "response": "a", "weight": 0}, {}, "the weight is 0; leave the row out"),
        ({"prompt": "q", "response": "a", "weight": "inf"}, {}, r'the weight is "inf" \(str\), not a finite number'),
        ({"prompt": "q", "response": "a", "popularity": "much"}, {}, r'the popularity is "much" \(str\), not a finite'),
        ({"prompt": "q", "response": "a", "popularity": "inf"}, {}, r'the popularity is "inf" \(str\), not a finite'),
        ({"prompt": "q", "response": "a", "perturbed": [1]}, {}, "the perturbed answers are .*, not a list of texts"),
        ({"messages": "hello"}, {}, "messages are not a list of objects with role and content"),
        ({"messages": None}, {}, "messages are not a list of objects"),
        ({"messages": [{"role": "user", "content": "q"}]}, {}, "the last two messages must be user and assistant"),
        ({"messages": [{"role": "tool", "content": "q"}] * 2}, {}, "must be system, user or assistant"),
        (
            {"messages": [{"role": "user", "content": ["q"]}, {"role": "assistant", "content": "a"}]},
            {},
            "a message's content is not text",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: dict, keys: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        one(row, **keys)
    assert str(raised.value).startswith("facts.jsonl:17: ") and "\n" not in str(raised.value)


def test_rows_that_say_the_same_are_one_example(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "response": r} for r in ("a", "b", "a")]
    assert [e.response for e in load(tmp_path, rows)] == ["a", "b"]


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    rows = [{"id": i, "prompt": f"q{n}", "response": "a"} for n, i in enumerate((0, 1, 0))]
    with pytest.raises(DataError, match="the id '0' is that of 2 rows; make ids unique"):
        load(tmp_path, rows)


def test_a_limit_reads_no_further(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "response": str(i)} for i in range(5)]
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{malformed")
    assert [e.response for e in load_examples(Source(path=str(file), limit=3))] == ["0", "1", "2"]
    with pytest.raises(DataError, match=":6"):
        load_examples(Source(path=str(file)))


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no examples"):
        load(tmp_path, [])


def test_a_limit_of_tokens_is_for_texts() -> None:
    assert one({"text": "the cat"}, max_tokens=5).max_tokens == 5
    with pytest.raises(DataError, match="is a question with its answer, and max_tokens cuts texts"):
        one({"prompt": "q", "response": "a"}, max_tokens=5)


def test_sets_of_ids_overlap_where_their_ids_are_equal() -> None:
    first, second = one({"token_ids": [1, 23]}), one({"token_ids": [12, 3]})
    assert overlap([first, second], [one({"token_ids": [1, 23]})]) == [first]


def test_overlap_looks_past_case_and_spaces() -> None:
    forget = [one({"prompt": p, "response": r}) for p, r in (("Who?", "Ada  L."), ("Who?", "Bob"), ("Whom?", "Ada L."))]
    retain = [one({"prompt": "WHO?", "response": "ada l."}), one({"prompt": "x", "response": "Bob"})]
    assert [e.response for e in overlap(forget, retain)] == ["Ada  L."]


def test_the_weights_of_a_row_s_tokens_are_read_with_the_ids_they_stand_for() -> None:
    example = one({"prompt": "q", "response": "a b", "token_weights": [1, -0.5, 0], "target_ids": [7, 8, 2]})
    assert (example.token_weights, example.target_ids) == ((1.0, -0.5, 0.0), (7, 8, 2))
    assert one({"prompt": "q", "response": "a", "token_weights": None, "target_ids": None}).token_weights == ()
    assert one({"prompt": "q", "response": "a", "token_weights": [1.0, 2.0]}).target_ids == ()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"token_weights": "[1, x]"}, "the token_weights are .*, a list as text that cannot be read"),
        ({"token_weights": []}, r"the token_weights are \[\] \(list\), not a list of numbers"),
        ({"token_weights": [1, None]}, "not a list of numbers"),
        ({"token_weights": [True]}, "not a list of numbers"),
        ({"token_weights": [1, float("nan")]}, "a token weight is not finite"),
        ({"token_weights": [1], "target_ids": [1.5]}, "the target_ids are .*, not a list of whole numbers"),
        ({"token_weights": [1, 2], "target_ids": [1]}, "has 2 token_weights and 1 target_ids; give as many"),
    ],
)
def test_token_weights_that_cannot_be_used_are_named(keys: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        one({"prompt": "q", "response": "a"} | keys)
    assert str(raised.value).startswith("facts.jsonl:17: ") and "\n" not in str(raised.value)


def test_rows_whose_token_weights_are_all_0_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "response": str(i), "token_weights": [i % 2, 0]} for i in range(5)]
    file = tmp_path / "facts.jsonl"
    assert [e.response for e in load(tmp_path, rows)] == ["1", "3"]
    loaded = read_examples(Source(path=str(file)))
    assert ([e.response for e in loaded.examples], loaded.unsupervised) == (["1", "3"], 3)
    with pytest.raises(DataError, match=r"facts\.jsonl: the token_weights of all 3 rows are 0"):
        load(tmp_path, [rows[0], rows[2], rows[4]])


def test_a_corpus_is_drawn_from_every_row_copies_too(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "response": r} for r in ("a", "b", "a")]
    load(tmp_path, rows)
    loaded = read_examples(Source(path=str(tmp_path / "facts.jsonl")))
    assert [e.response for e in loaded.examples] == ["a", "b", "a"] and loaded.unsupervised == 0


def test_overlap_looks_at_earlier_turns_too() -> None:
    def after(first: str) -> Example:
        turns = [("user", first), ("assistant", "Ok."), ("user", "And then?"), ("assistant", "Stop.")]
        return one({"messages": [{"role": r, "content": c} for r, c in turns]})

    assert overlap([after("one"), after("TWO")], [after("two")]) == [after("TWO")]


@pytest.mark.parametrize("key", ["id", "group", "kind"])
@pytest.mark.parametrize("value", [[], {}, ["a"], {"a": 1}])
def test_a_name_is_no_list_or_object(key: str, value: object) -> None:
    with pytest.raises(DataError, match=rf"facts\.jsonl:17: the {key} is .*, not a text or a number"):
        one({"prompt": "q", "response": "a", key: value})


@pytest.mark.parametrize(("what", "name"), [("token_ids", "prompt"), ("text", "title")])
def test_a_mapped_column_that_no_row_reads_is_refused(what: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    file.write_text(json.dumps({"prompt": "q", "response": "a", "title": "t"}) + "\n")
    with pytest.raises(DataError, match=f"columns: {what} is mapped, and nothing reads it"):
        load_examples(Source(path=str(file), columns={what: name}))


def test_a_mapped_column_that_some_row_reads_is_fine(tmp_path: Path) -> None:
    rows = [{"q": "a question", "text": "a document"}, {"q": "a question", "response": "a"}]
    assert [e.form for e in load(tmp_path, rows, columns={"prompt": "q"})] == ["text", "qa"]
