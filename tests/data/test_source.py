"""A source says once where its rows are."""

import pytest
from pydantic import ValidationError

from forgetting.data.source import Source


def test_a_path_alone_is_a_source() -> None:
    assert Source.model_validate("facts.jsonl") == Source(path="facts.jsonl")


@pytest.mark.parametrize("places", [{}, {"path": "a", "hub": "b"}, {"hub": "b", "suite": "lab"}])
def test_there_is_exactly_one_place(places: dict) -> None:
    with pytest.raises(ValidationError, match="exactly one of path, hub and suite"):
        Source(**places)


def test_a_column_maps_to_something_an_example_holds() -> None:
    with pytest.raises(ValidationError, match="columns: 'promt' is nothing an example holds; known: prompt, response"):
        Source(path="a", columns={"promt": "q"})


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Source(path="a.csv"), "a.csv"),
        (Source(hub="org/set", name="forget10"), "org/set/forget10/train"),
        (Source(suite="lab:popular"), "suite lab:popular"),
    ],
)
def test_messages_name_it(source: Source, name: str) -> None:
    assert str(source) == name
