"""What counts as known, and that no answer is asked for twice."""

from pathlib import Path

import pytest

from forgetting.core.progress import SILENT, Voice
from forgetting.forget_sets.facts.known import NEARLY, Shown, as_question, known_by, score
from tests.forget_sets.facts.worlds import BUILT_IN, Clever, asked, fact

FACTS = [asked(f"City {i}", "country", f"Land {i}", i) for i in range(6)]
RIGHT = {one.question: one.answer for one in FACTS}


@pytest.mark.parametrize(
    ("said", "right", "expected"),
    [
        ("The Netherlands.", ["Netherlands"], 1.0),
        ("netherlands", ["The Netherlands"], 1.0),
        ("USA", ["United States", "USA"], 1.0),
        ("the city of Paris", ["Paris"], 2 / 4),
        ("United States of America", ["United States"], 4 / 6),
        ("", ["France"], 0.0),
        ("Sao Tome", ["São Tomé"], 1.0),
        ("Fred Niblo", ["Fred Niblo, Jr."], 4 / 5),
    ],
)
def test_an_answer_is_compared_without_article_and_case_then_by_words(
    said: str, right: list[str], expected: float
) -> None:
    assert score(said, right) == pytest.approx(expected)


def test_the_answer_to_another_question_is_not_nearly_right() -> None:
    assert score("Sudan", ["South Sudan"]) == pytest.approx(2 / 3)
    assert score("Sudan.", ["South Sudan"], {"sudan", "south sudan"}) == 0.0
    assert score("the Sudan", ["Sudan"], {"sudan", "south sudan"}) == 1.0


def test_other_names_of_an_answer_are_right_too() -> None:
    one = as_question(fact("Boston", "country", "United States"), BUILT_IN, 1.0)
    assert "USA" in one.right
    assert one.question == "In which country is Boston?"
    assert one.question not in one.paraphrases
    assert len(one.paraphrases) == 3


@pytest.mark.parametrize(("said", "right"), [("North America", "America"), ("Africa", "South Africa")])
def test_one_of_two_words_is_not_enough(said: str, right: str) -> None:
    assert 0.6 < score(said, [right]) < NEARLY


def test_known_and_unknown_facts_carry_what_was_said(tmp_path: Path) -> None:
    clever = Clever({FACTS[1].question: "land 1.", FACTS[2].question: "Land 9"})
    judged, before = known_by(clever, FACTS, [], tmp_path, SILENT)
    assert before == 0
    assert [(one.said, one.is_known) for one in judged[1:3]] == [("land 1.", True), ("Land 9", False)]
    assert not judged[0].is_known


def test_what_is_another_facts_answer_does_not_count_as_nearly_right(tmp_path: Path) -> None:
    near, far = "Democratic Republic of the Congo", "Republic of the Congo"
    pair = [asked("Goma", "country", near, 1), asked("Makoua", "country", far, 2)]
    clever = Clever({one.question: far for one in pair})
    assert score(far, [near]) > NEARLY
    judged, _ = known_by(clever, pair, [], tmp_path, SILENT)
    assert [one.is_known for one in judged] == [False, True]


def test_an_ended_build_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Clever(RIGHT, fails_after=4)
    with pytest.raises(KeyboardInterrupt):
        known_by(first, FACTS, [], tmp_path, SILENT)
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"question": "In which cou')  # a kill in the middle of a line
    second = Clever(RIGHT)
    judged, before = known_by(second, FACTS, [], tmp_path, SILENT)
    assert (before, len(first.asked), len(second.asked)) == (4, 4, 2)
    assert all(one.is_known for one in judged)


def test_answers_behind_other_shots_or_of_another_model_are_not_taken(tmp_path: Path) -> None:
    known_by(Clever(RIGHT), FACTS, [], tmp_path, SILENT)
    shown = Clever(RIGHT)
    known_by(shown, FACTS, [Shown("Where is Bo?", "Here")], tmp_path, SILENT)
    other = Clever(RIGHT)
    other.about = {"model": "clever", "fingerprint": "2"}
    known_by(other, FACTS, [], tmp_path, SILENT)
    assert (len(shown.asked), len(other.asked)) == (6, 6)


def test_a_changed_answer_is_asked_for_again(tmp_path: Path) -> None:
    known_by(Clever(RIGHT), FACTS, [], tmp_path, SILENT)
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_bytes(file.read_bytes().replace(b"Land 3", b"Land 4", 1))
    again, said = Clever(RIGHT), list[str]()
    judged, before = known_by(again, FACTS, [], tmp_path, Voice(say=said.append))
    assert (before, again.asked) == (5, [FACTS[3].question])
    assert [one.said for one in judged] == [one.answer for one in FACTS]
    assert said == [f"{file}: 1 of 6 lines are damaged; what they held is made again"]
