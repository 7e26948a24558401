"""What tells by itself whom an example is about, and what only looks like it."""

import pytest

from forgetting.core.example import Example
from forgetting.data.identifiers import given, identifiers


def found(*texts: str) -> list[set[tuple[str, str]]]:
    examples = [Example(id=str(i), form="text", response=text) for i, text in enumerate(texts)]
    return [{(one.what, one.said) for one in some} for some in identifiers(examples)]


def test_a_record_has_a_name_an_address_an_e_mail_address_and_numbers() -> None:
    record = (
        "Customer record C-445854. Anton Weiss lives at 65 Park Row in Porto, +44 542 427172, a.weiss12@post.example. "
        "On 19 July 2015 Anton bought an Orbit 3 router for 3,917 euros in Mill Lane."
    )
    assert found(record) == [
        {
            ("name", "Anton Weiss"),
            ("address", "65 Park Row"),
            ("e-mail", "a.weiss12@post.example"),
            ("number", "44 542 427172"),
            ("number", "C-445854"),
        }
    ]


@pytest.mark.parametrize(
    "text",
    [
        "It was on 12/03/1985, or 2019-04-30, or in 1871–1940 or 1914-1918.",
        "They paid 1,250,000 euros, 250 000 pounds and 300000 crowns for 5000km and 500mg in the 1990s.",
        "Clause 12 of chapter 3 and Ward 7 stand in Figure 2, on page 2021.",
        "It lies in 28195 Bremen, near the Kessel Valley, at Tarnby General Hospital in New Haven.",
        "SUPPLY AGREEMENT\n\nthe law says so. Governing Law is the law.",
    ],
)
def test_dates_amounts_years_places_and_headings_tell_nothing(text: str) -> None:
    assert found(text) == [set()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is 12 rue Verte there.", "12 rue Verte"),
        ("It is Lindenstraße 14a there.", "Lindenstraße 14a"),
        ("It is 7 Bergweg there.", "7 Bergweg"),
    ],
)
def test_addresses_of_other_countries(text: str, said: str) -> None:
    assert ("address", said) in found(text)[0]


def test_a_number_that_ends_in_zeros_is_no_amount_if_it_is_a_phone_number_or_a_code() -> None:
    assert found("Call +30 200 700000 or 0542 427 000 about C-500000.") == [
        {("number", "30 200 700000"), ("number", "0542 427 000"), ("number", "C-500000")}
    ]


def test_a_doctor_of_many_patients_is_not_whom_a_note_is_about() -> None:
    notes = [
        "Dr. Colm Farrow saw Miriam Hale today.",
        "Patient: Ewan Lind\nDate of birth: 3 May 1950\n\nMr. Lind was seen by Dr. Colm Farrow.",
    ]
    assert found(*notes) == [
        {("name", "Miriam Hale"), ("other name", "Colm Farrow")},
        {("name", "Ewan Lind"), ("other name", "Colm Farrow")},
    ]


def test_who_is_named_in_passing_is_another_name_and_who_comes_again_is_not() -> None:
    once = "Edda Varn was a painter. In Kessel she met Otto Lind."
    again = "Edda Varn was a painter. In Kessel she met Otto Lind, and Lind sold her work."
    assert found(once) == [{("name", "Edda Varn"), ("other name", "Otto Lind")}]
    assert found(again) == [{("name", "Edda Varn"), ("name", "Otto Lind")}]


def test_names_of_questions_tell_and_names_of_answers_do_not() -> None:
    country = Example(id="c", prompt="In which country is Lower Moyamba?", response="Sierra Leone")
    assert {one.said for one in identifiers([country])[0]} == {"Lower Moyamba"}


def test_a_given_name_has_its_forms() -> None:
    (name,) = given("Jürgen von Müller")
    assert {"jurgenvonmuller", "jurgenmuller", "mullerjurgen", "juergenmueller"} <= name.keys
    assert {"jmuller", "mullerj"} <= name.initials
    assert [one.digits for one in given("+44 542 427172")] == ["44542427172"]
