"""Identifiers are found however they are written, and inside other words they are not."""

import unicodedata

import pytest

from forgetting.data.identifier_index import IdentifierIndex
from forgetting.data.identifiers import given
from forgetting.data.row_words import Words

WANTED = ["Anton Weiss", "Lucía O'Dowd", "+44 542 427172", "a.weiss12@post.example", "C-445854", "Jürgen Müller"]
INDEX = IdentifierIndex([one for text in WANTED for one in given(text)])


def said(text: str) -> list[str]:
    return [Words.of(text).said(*span) for _, span in sorted(INDEX.find(Words.of(text)).items())]


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("so ANTON WEISS said", "ANTON WEISS"),
        ("so anton weiss said", "anton weiss"),
        ("so Weiss, Anton said", "Weiss, Anton"),
        ("so A. Weiss said", "A. Weiss"),
        ("so Weiss, A. said", "Weiss, A"),
        ("so Anton J. Weiss said", "Anton J. Weiss"),
        ("so Anton\nWeiss said", "Anton Weiss"),
        ("so Anton Wei-\nss said", "Anton Wei- ss"),
        ("so Anton\u00a0Weiss's said", "Anton Weiss"),
        ("see Anton_Weiss_2021.pdf", "Anton_Weiss"),
        ("see AntonWeiss2021", "AntonWeiss2021"),
        (unicodedata.normalize("NFD", "Lucía O’Dowd"), unicodedata.normalize("NFD", "Lucía O’Dowd")),
        ("LUCIA ODOWD", "LUCIA ODOWD"),
        ("Juergen Mueller", "Juergen Mueller"),
        ("on 0542/427-172", "0542/427-172"),
        ("on 0044 (0) 542 427172", "0044 (0) 542 427172"),
        ("on 542427172 7", "542427172"),
        ("on A.WEISS12@POST.EXAMPLE", "A.WEISS12@POST.EXAMPLE"),
        ("on a.weiss12 [at] post.example", "a.weiss12 [at] post.example"),
        ("file c445854", "c445854"),
        ("file C 445-854", "C 445-854"),
        ("file 445854", "445854"),
    ],
)
def test_forms(text: str, there: str) -> None:
    assert there in said(text)


@pytest.mark.parametrize(
    "text",
    [
        "Kanton Weissenburg",
        "Antonia Weiss",
        "Anton",
        "the Weiss family",
        "a weiss beer",
        "542 4271723",
        "1445854",
        "Anton Brandt met Weiss",
        "b.weiss12@post.example",
        "",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert said(text) == []
