"""Relations files: read, refused, and used forwards and backwards."""

from pathlib import Path

import pytest

from forgetting.core.errors import RecipeError
from forgetting.forget_sets.facts.relations import in_words, load_relations
from tests.forget_sets.facts.worlds import BUILT_IN, fact


def test_every_built_in_relation_has_a_property_and_three_paraphrases_that_differ() -> None:
    for name, one in BUILT_IN.named.items():
        assert one.property is not None, name
        assert len({one.question, *one.paraphrases}) == 4, name


def test_a_question_names_its_subject() -> None:
    assert (
        in_words(BUILT_IN.named["capital"].question, fact("Peru", "capital", "Lima")) == "What is the capital of Peru?"
    )


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is George Rankin's occupation?", ("occupation", "George Rankin")),
        ("What is Madison the capital of?", ("capital of", "Madison")),
        ("What is the capital of Canton of Lucerne?", ("capital", "Canton of Lucerne")),
        ("In what city was Helene Liebmann born?", ("place of birth", "Helene Liebmann")),
        ("Who wrote the screenplay of Alien?", ("screenwriter", "Alien")),
        ("How old is Bo?", None),
    ],
)
def test_a_question_of_a_source_is_read_by_the_forms(question: str, expected: tuple[str, str] | None) -> None:
    assert BUILT_IN.read(question) == expected


def test_a_relation_is_found_by_its_other_names_and_its_property() -> None:
    assert BUILT_IN.name_of("religion or worldview") == "religion"
    assert BUILT_IN.name_of("Land", "P17") == "country"
    assert BUILT_IN.name_of("instance of", "P31") is None


def test_built_in_relations_are_picked_by_name_and_a_slip_is_named() -> None:
    assert list(load_relations("capital, country").named) == ["capital", "country"]
    with pytest.raises(RecipeError, match=r"'captial' is not built in .did you mean 'capital'"):
        load_relations("captial")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no relations"),
        ("country: {paraphrases: ['Where is {subject}?']}", "country.question: has no question"),
        ('country: {question: "Where is it?"}', "'Where is it\\?' does not hold .subject. once"),
        ("country: {question: 'Where is {subject} in {year}?'}", "has braces beside"),
        ("country: [", "not YAML"),
        ("country: {question: 'Where is {subject}?', propery: P17}", "country.propery"),
    ],
)
def test_a_relations_file_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=said) as raised:
        load_relations(str(file))
    assert str(raised.value).startswith(f"{file}:")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none.yaml: cannot be read"):
        load_relations(str(tmp_path / "none.yaml"))


def test_a_class_is_an_item_and_nothing_else_of_a_query(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("country: {question: 'Where is {subject}?', classes: ['Q515 } UNION {']}\n")
    with pytest.raises(RecipeError, match=r"r\.yaml: country\.classes\.0: "):
        load_relations(str(tmp_path / "r.yaml"))


def test_a_name_of_several_relations_is_refused(tmp_path: Path) -> None:
    asked = "question: 'Where is {subject}?'"
    (tmp_path / "r.yaml").write_text(f"country: {{{asked}}}\nland: {{{asked}, called: [country]}}\n")
    with pytest.raises(RecipeError, match=r"r\.yaml: 'country' is what several relations are called"):
        load_relations(str(tmp_path / "r.yaml"))
