"""Rows as text and text as words, whatever the script."""

from forgetting.data.row_words import Words, bare_word, row_body, row_text, row_texts


def test_words_are_runs_of_letters_and_digits_without_case_and_width() -> None:
    found = Words.of("The ＡＢＣ-club's 2nd_man")
    assert found.plain == ("the", "abc", "club", "s", "2nd", "man")
    assert [found.text[a:b] for a, b in found.spans] == ["The", "ＡＢＣ", "club", "s", "2nd", "man"]


def test_each_chinese_or_japanese_character_is_a_word() -> None:
    assert Words.of("東京 tower").plain == ("東", "京", "tower")


def test_a_part_of_the_text_is_quoted_with_single_spaces_and_at_most_200_characters() -> None:
    assert Words.of("A  big,\nred dog").said(1, 3) == "big, red"
    assert len(Words.of("word " * 100).said(0, 100)) == 200


def test_a_word_divided_at_the_end_of_a_line_is_one_and_what_has_no_width_is_left_out() -> None:
    assert Words.of("the light-\n  house and well-known hid\u00adden\u200b").plain == (
        *("the", "lighthouse", "and", "well", "known", "hidden"),
    )
    assert Words.of("Größen-\r\nwahn").plain == ("grossenwahn",)


def test_accents_are_left_out_however_they_are_composed() -> None:
    composed, apart = "José Muñoz Łódź", "Jose\u0301 Mun\u0303oz Ło\u0301dz\u0301"
    assert Words.of(composed).plain == Words.of(apart).plain == ("jose", "munoz", "lodz")
    assert bare_word("किताब") == "किताब" and bare_word("مُحَمَّد") == bare_word("محمد")
    assert len(Words.of("किताब है").plain) == 2


def test_the_text_of_a_row_is_all_its_texts_and_its_body_those_of_known_columns() -> None:
    row = {"title": "T", "question": "Q?", "answer": "A.", "n": 3, "tags": ["x", {"y": "z"}]}
    assert row_text(row) == "T\nQ?\nA.\n3\nx\nz"
    assert row_body(row) == "Q?\nA."
    assert row_body({"title": "T"}) is None


def test_marks_belong_to_their_letters_and_are_quoted_with_them() -> None:
    found = Words.of("हिन्दी Cafe\u0301!")
    assert found.plain == ("हिन्दी", "cafe")
    assert found.said(1, 2) == "Cafe\u0301"


def test_each_text_of_a_row_has_its_column() -> None:
    row = {"id": 7, "messages": [{"role": "user", "content": "Hi"}], "ok": True, "none": None}
    assert list(row_texts(row)) == [("id", "7"), ("messages[0].role", "user"), ("messages[0].content", "Hi")]
