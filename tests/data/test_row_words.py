"""Rows as text and text as words, whatever the script."""

from forgetting.data.row_words import Words, row_body, row_counts, row_text


def test_words_are_runs_of_letters_and_digits_without_case_and_width() -> None:
    found = Words.of("The ＡＢＣ-club's 2nd_man")
    assert found.plain == ("the", "abc", "club", "s", "2nd", "man")
    assert [found.text[a:b] for a, b in found.spans] == ["The", "ＡＢＣ", "club", "s", "2nd", "man"]


def test_each_chinese_or_japanese_character_is_a_word() -> None:
    assert Words.of("東京 tower").plain == ("東", "京", "tower")


def test_a_part_of_the_text_is_quoted_with_single_spaces_and_at_most_200_characters() -> None:
    assert Words.of("A  big,\nred dog").said(1, 3) == "big, red"
    assert len(Words.of("word " * 100).said(0, 100)) == 200


def test_a_word_is_counted_once_a_row() -> None:
    counts, rows = row_counts(["a dog, a Dog", "a cat", "none"], frozenset({"dog", "a"}))
    assert (counts, rows) == ({"dog": 1, "a": 2}, 3)


def test_the_text_of_a_row_is_all_its_texts_and_its_body_those_of_known_columns() -> None:
    row = {"title": "T", "question": "Q?", "answer": "A.", "n": 3, "tags": ["x", {"y": "z"}]}
    assert row_text(row) == "T\nQ?\nA.\nx\nz"
    assert row_body(row) == "Q?\nA."
    assert row_body({"title": "T"}) is None


def test_marks_belong_to_their_letters_and_are_quoted_with_them() -> None:
    found = Words.of("हिन्दी Cafe\u0301!")
    assert found.plain == ("हिन्दी", "café")
    assert found.said(1, 2) == "Cafe\u0301"
