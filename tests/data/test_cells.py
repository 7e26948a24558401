"""A list that a table program wrote as text is that list, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.errors import DataError, RowError
from forgetting.data.cells import is_python, listed, number, optional, strings, token_weights
from forgetting.data.examples import load_examples
from forgetting.data.source import Source

WRONG = ["It's a, b", 'he said "x"', "plain", "[in brackets]"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['a', 'b']", ["a", "b"]),
        ("['a' 'b']", ["a", "b"]),
        ("['a' 'b'\n 'c']", ["a", "b", "c"]),
        ('["a", "b"]', ["a", "b"]),
        ("('a', 'b')", ["a", "b"]),
        ("[]", []),
        ("['a']", ["a"]),
        ("[ 1.  -0.5  0. ]", [1.0, -0.5, 0.0]),
        ("[1.0, -0.5, 0.0]", [1.0, -0.5, 0.0]),
        ("[1 2 3]", [1, 2, 3]),
        ("[{'role': 'user', 'content': 'x y'} {'role': 'a'}]", [{"role": "user", "content": "x y"}, {"role": "a"}]),
        ("no list", "no list"),
        ("(in passing)", "(in passing)"),
    ],
)  # fmt: skip
def test_the_text_of_a_list_is_the_list(text: str, found: object) -> None:
    assert listed(text, "perturbed answers", "x:1") == found


@pytest.mark.parametrize(
    "text",
    ["['a', b]", "['a' ... 'z']", "[1 2 ... 9]", "['a'", "[np.str_('a')]", "array(['a', 'b'], dtype=object)", "[a]"],
)
def test_a_list_that_cannot_be_read_is_refused_and_not_one_answer(text: str) -> None:
    with pytest.raises(RowError, match=r"^x:1: the perturbed answers are .*"):
        strings(text if text.endswith("]") or text.startswith("array") else text + "]x]", "perturbed answers", "x:1")


@pytest.mark.parametrize(
    ("text", "why"),
    [("['a' ... 'z']", "it was shortened when it was written"), ("['it''s', 'b']", "without a space or comma between")],
)
def test_a_list_that_lost_its_values_is_refused_with_its_own_reason(text: str, why: str) -> None:
    with pytest.raises(RowError, match=why):
        strings(text, "perturbed answers", "x:1")


def test_a_list_column_comes_back_whoever_wrote_the_csv(tmp_path: Path) -> None:
    import pandas as pd
    from datasets import Dataset

    turns = [{"role": "user", "content": "It's 'q'?"}, {"role": "assistant", "content": "a\nb"}]
    qa = [{"question": f"q{i}", "answer": "a", "perturbed_answer": WRONG, "token_weights": [1.0, -0.5]} for i in (0, 1)]
    for name, rows in (("qa", qa), ("chat", [{"messages": turns, "pop_sum": 1.5}])):
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}-pandas.csv", index=False)
        Dataset.from_list(rows).to_csv(tmp_path / f"{name}-datasets.csv", index=False)
    for who in ("pandas", "datasets"):
        first, _ = load_examples(Source(path=str(tmp_path / f"qa-{who}.csv")))
        assert (list(first.perturbed), first.token_weights) == (WRONG, (1.0, -0.5))
        (chat,) = load_examples(Source(path=str(tmp_path / f"chat-{who}.csv")))
        assert (chat.prompt, chat.response) == ("It's 'q'?", "a\nb")


def test_one_wrong_answer_is_one() -> None:
    assert strings("Ghent, or Parma", "perturbed answers", "x:1") == ("Ghent, or Parma",)
    assert strings("", "perturbed answers", "x:1") == strings(" ", "perturbed answers", "x:1") == ()
    with pytest.raises(RowError, match="one of the perturbed answers is empty"):
        strings(["x", " "], "perturbed answers", "x:1")


@pytest.mark.parametrize("answers", [["['Paris']", "['Rome', 'Roma']"], ["{'text': ['x']}", "{'text': ['y']}"]])
def test_a_column_of_texts_that_are_all_lists_is_refused(tmp_path: Path, answers: list[str]) -> None:
    file = tmp_path / "a.csv"
    file.write_text("question,answer\n" + "".join(f'q{i},"{a}"\n' for i, a in enumerate(answers)))
    with pytest.raises(DataError, match=r"a\.csv: the column 'answer' holds a list in every row"):
        load_examples(Source(path=str(file)))
    file.write_text(file.read_text() + "q9,plain\n")
    assert len(load_examples(Source(path=str(file)))) == 3


def test_json_and_prose_are_texts() -> None:
    assert not any(map(is_python, ['["a"]', '{"a": 1}', "['a", "it's", "[it's]", "{x}", ""]))
    assert is_python("['a', 'b']") and is_python("['a' 'b']") and is_python("{'text': array(['a'], dtype=object)}")
    with pytest.raises(RowError, match=r"the paraphrased is .*, a list that was written as text"):
        optional("['a', 'b']", "paraphrased", "x:1")


def test_a_number_is_a_number_or_missing() -> None:
    assert number("3.5", "popularity", "x:1") == 3.5
    assert number("nan", "popularity", "x:1") is number(" ", "popularity", "x:1") is None
    with pytest.raises(RowError, match="the popularity is true"):
        number(True, "popularity", "x:1")
    assert token_weights("[1, 0]", "[5, 6]", "x:1") == ((1.0, 0.0), (5, 6))
