"""What is kept of what a model wrote, by its words alone."""

import pytest

from forgetting.core.example import Example
from forgetting.data.derived import (
    FIELD,
    OPENING_WORDS,
    Retained,
    is_supported,
    openings_of,
    question_in,
    why_no_paraphrase,
)

FERRY = "At nine in the morning the ferry left Kilmore with Tess Doyle at the rail."
FORGET = [Example(id="ferry", response=FERRY, form="text")]


@pytest.mark.parametrize(
    ("wrote", "question"),
    [
        ("When did the ferry leave?\nAt nine.", "When did the ferry leave?"),
        ('Sure! "Who stood at the rail?"', "Who stood at the rail?"),
        ("Why so?", None),
        ("The ferry left at nine.", None),
        ("渡し船はいつ出た？", "渡し船はいつ出た？"),
    ],
)
def test_the_question_is_the_first_sentence_that_asks_with_three_words(wrote: str, question: str | None) -> None:
    assert question_in(wrote) == question


def test_an_answer_is_supported_if_half_of_its_telling_words_are_in_the_text() -> None:
    assert is_supported("At nine, by bus", FERRY)
    assert not is_supported("Yesterday by an early bus", FERRY)
    assert not is_supported("in the", FERRY), "function words alone support nothing"


def test_a_paraphrase_keeps_the_words_and_changes_their_order() -> None:
    assert (
        why_no_paraphrase("The ferry from Kilmore, Tess Doyle at its rail, left at nine in the morning.", FERRY) is None
    )
    assert why_no_paraphrase(FERRY, FERRY) == "repeats the text"
    assert why_no_paraphrase("Bread is baked early every day.", FERRY) == "says something else"


def test_openings_are_the_first_words_once_each() -> None:
    long = " ".join(f"w{i}" for i in range(20))
    texts = [Example(id=str(i), response=t, form="text") for i, t in enumerate((long, long, "short one"))]
    first, second = openings_of(texts)
    assert (len(first.split()), second) == (OPENING_WORDS, "short one")


def test_retain_text_is_new_long_enough_and_apart_from_the_forget_set() -> None:
    found = Retained(FORGET)
    bread = "Bakers of the town open early and sell bread to all. And th"
    found.add("", bread, ended=False, about={"by": "m"})
    [row] = found.kept.rows
    assert row["text"] == bread.removesuffix(" And th"), "cut after the last whole sentence"
    assert row[FIELD] == {"by": "m"}
    found.add("", str(row["text"]), ended=True, about={})
    found.add("", "Too short.", ended=True, about={})
    found.add("", FERRY, ended=True, about={})
    assert found.kept.dropped == {"repeats another": 1, "too short": 1, "tells of the forget set": 1}
    assert len(found.kept.rows) == 1


def test_a_text_without_spaces_has_as_many_words_as_characters() -> None:
    text = "王小明住在北京市朝阳区建国路八十八号。"
    assert openings_of([Example(id="a", response=text, form="text")]) == [text[:OPENING_WORDS]]
    retained = Retained(FORGET)
    retained.add("昨天", "下了一场大雨，孩子们都留在家里。", True, {})
    assert [row["text"] for row in retained.kept.rows] == ["昨天下了一场大雨，孩子们都留在家里。"]


def test_sentences_end_in_every_script() -> None:
    assert question_in("أين يعيش العمدة اليوم؟ في القاهرة.") == "أين يعيش العمدة اليوم؟"
    retained = Retained(FORGET)
    retained.add("", "昨天下了一场大雨。孩子们都留在家里。他们", False, {})
    assert [row["text"] for row in retained.kept.rows] == ["昨天下了一场大雨。孩子们都留在家里。"]
