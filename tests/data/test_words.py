"""A word is a word in every script, composed or not."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest

from forgetting.data.words import PART, RUN, first_pieces, folded, has_other_script, pieces, plain_word, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The ＡＢＣ-club's 2nd_man", "the abc club s 2nd man"),
        ("王小明 lives 1969年", "王 小 明 lives 1969 年"),
        ("हिन्दी में काम", "हिन्दी में काम"),
        ("เมือง", "เ มื อ ง"),
        ("رقم ١٢٣", "رقم 123"),
        ("کتاب\u200cها", "کتابها"),
        ("ﾊﾞｽ", "バ ス"),
        ("๒๕๑๒ ปี ၁၉၆၉", "2512 ปี 1969"),
        ("서울 도시", "서울 도시"),
        ("İstanbul ISPARTA", "istanbul isparta"),
    ],
)
def test_words_of_every_script(text: str, found: str) -> None:
    assert words(text) == found.split()
    assert words(unicodedata.normalize("NFD", text)) == found.split()


def test_the_text_between_spaces_is_a_piece_unless_its_script_has_none() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        text = "".join(draw.choices("abé ü\n\t.,!?'-_1٢жñ\u00a0\u0085\u2028\x1c\u0301ह", k=12))
        assert pieces(text) == text.split()
    assert pieces("他在 Paris, 好。") == ["他", "在", "Paris,", "好", "。"]


def test_parts_are_all_of_a_text_and_runs_those_of_a_latin_one() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        text = "".join(draw.choices("abé ü\n.!'_1жñ²中มื\u0301", k=12))
        assert "".join(PART.findall(text)) == text
    text = "Foo_bar's m² on 3.14, Łódź"
    assert RUN.findall(text) == re.findall(r"\b\w+\b", text)


def test_the_beginning_of_a_text_has_so_many_words_and_no_more() -> None:
    assert first_pieces("One  two\nthree four", 3) == "One two three"
    assert first_pieces("王小明住在北京", 3) == "王小明"
    assert first_pieces("", 3) == ""


def test_case_and_form_are_ignored_and_nothing_else() -> None:
    assert folded("STRASSE") == folded("Straße") and folded("Cafe\u0301") == folded("CAFÉ")
    assert folded("x²") != folded("x2") and plain_word("ılık") != plain_word("ilik")


@pytest.mark.parametrize("text", ["Café 12 — “ok” µm", "Đà Nẵng", "it's", "naïve º"])
def test_latin_texts_hold_no_other_script(text: str) -> None:
    assert not has_other_script(text)


@pytest.mark.parametrize("text", ["1969年", "α-helix", "12 ١٢", "ＡＢＣ", "Москва", "𝐀"])
def test_other_scripts_are_seen(text: str) -> None:
    assert has_other_script(text)
