"""Long documents are cut where paragraphs and sentences end, lose nothing, and fit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.encode import encode, encode_all
from forgetting.data.formatting import Formatting
from forgetting.data.pieces import in_pieces, split
from tests.data.tokenizers import byte_level, characters


def document(text: str) -> Example:
    return Example(id="a.txt", group="a.txt", response=text, form="text", where="docs/a.txt")


def up_to(characters: int):  # type: ignore[no-untyped-def]
    return lambda text: len(text) <= characters


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from("ab. \n!東。"), max_size=120), st.integers(1, 30), st.integers(1, 60))
def test_parts_are_the_text_and_each_fits(text: str, longest: int, window: int) -> None:
    parts = split(text, up_to(longest), window)
    assert "".join(parts) == text
    assert all(0 < len(part) <= longest for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One two.\n\nThree four.\n\nFive.", ["One two.\n\n", "Three four.\n\n", "Five."]),
        ("One two. Three four. Five.", ["One two. ", "Three four. ", "Five."]),
        ("One two three four five", ["One two three ", "four five"]),
        ("A.\n\nOne two. Three four five six", ["A.\n\nOne two. ", "Three four ", "five six"]),
        ("abcdefghijklmnopqr", ["abcdefghijklmno", "pqr"]),
        ("東京は大きい。京都は古い。奈良も古い。", ["東京は大きい。京都は古い。", "奈良も古い。"]),
    ],
)
def test_the_coarsest_border_that_does_not_waste_half_the_room_is_taken(text: str, parts: list[str]) -> None:
    assert split(text, up_to(15), 100) == parts


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("the answer. \n東🌍\t"), min_size=1, max_size=300), st.integers(8, 40))
def test_pieces_fit_a_row_with_what_the_tokenizer_adds_and_say_the_document(text: str, longest: int) -> None:
    tokenizer = byte_level()
    pieces = in_pieces([document(text)], tokenizer, longest)
    if text.strip():
        assert "".join("".join(p.response for p in pieces).split()) == "".join(text.split())
    for piece in pieces:
        encoded = encode_all([piece], tokenizer, Formatting(max_length=longest))
        assert len(encoded) == 1 and len(encoded[0].ids) <= longest
        assert encoded[0] == encode(piece, tokenizer, Formatting(max_length=longest)), "what is trained on is measured"


def test_pieces_carry_the_name_of_their_document_and_only_the_last_ends() -> None:
    pieces = in_pieces([document("One two. Three four. Five six.")], characters(), 14)
    assert [(p.id, p.group) for p in pieces] == [("a.txt", "a.txt"), ("a.txt#2", "a.txt"), ("a.txt#3", "a.txt")]
    ends = [encode(p, characters(), Formatting(max_length=14)).ids[-1] == 0 for p in pieces]
    assert ends == [False, False, True]


def test_what_fits_and_what_is_no_plain_document_stays_as_it_is() -> None:
    long = "a b c. " * 30
    others = [
        document("Short."),
        Example(id="q", prompt="Who?", response=long),
        Example(id="c", prompt="It goes", response=long, form="text"),
        Example(id="m", response=long, form="text", max_tokens=5),
        Example(id="w", response=long, form="text", token_weights=(1.0,)),
        Example(id="i", response="1 2", form="tokens", token_ids=(1, 2)),
    ]
    assert in_pieces(others, characters(), 20) == others


def test_a_row_without_room_for_a_character_is_one_line() -> None:
    with pytest.raises(DataError, match=r"docs/a\.txt: rows of 1 tokens hold no text; raise format\.max_length"):
        in_pieces([document("abc def")], characters(), 1)
