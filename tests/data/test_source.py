"""A source says once where its rows are."""

import pytest
from pydantic import ValidationError

from forgetting.data.source import Source, text_source


def test_a_path_alone_is_a_source() -> None:
    assert Source.model_validate("facts.jsonl") == Source(path="facts.jsonl")


@pytest.mark.parametrize("places", [{}, {"path": "a", "hub": "b"}, {"hub": "b", "suite": "lab"}])
def test_there_is_exactly_one_place(places: dict) -> None:
    with pytest.raises(ValidationError, match="exactly one of path, hub and suite"):
        Source(**places)


@pytest.mark.parametrize("key", ["name", "revision"])
@pytest.mark.parametrize("place", [{"path": "a.jsonl"}, {"suite": "lab"}])
def test_what_only_a_dataset_of_the_hub_has_is_refused_elsewhere(place: dict[str, str], key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key}: is of a dataset of the hub, and this is none; leave it out"):
        Source.model_validate({**place, key: "x"})
    assert getattr(Source.model_validate({"hub": "org/name", key: "x"}), key) == "x"


def test_a_column_maps_to_something_an_example_holds() -> None:
    with pytest.raises(ValidationError, match="columns: 'promt' is nothing an example holds; known: prompt, input"):
        Source(path="a", columns={"promt": "q"})


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Source(path="a.csv"), "a.csv"),
        (Source(path="p.npy", suffix="s.npy"), "p.npy+s.npy"),
        (Source(hub="org/set", name="forget10"), "org/set/forget10/train"),
        (Source(suite="lab:popular"), "suite lab:popular"),
    ],
)
def test_messages_name_it(source: Source, name: str) -> None:
    assert str(source) == name


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a+b.csv", Source(path="a+b.csv")),
        ("val_prefix.npy", Source(path="val_prefix.npy")),
        ("p.npy+s.npy", Source(path="p.npy", suffix="s.npy")),
        ("p.npy.gz", Source(path="p.npy.gz")),
        ("hub:org/set", Source(hub="org/set")),
        ("hub:org/set/config/test", Source(hub="org/set", name="config", split="test")),
    ],
)
def test_a_place_is_one_string(text: str, source: Source) -> None:
    assert Source.model_validate(text) == source


def test_a_place_of_texts_is_read_as_text_and_one_of_ids_as_ids() -> None:
    assert text_source("a.csv", limit=3) == Source(path="a.csv", form="text", limit=3)
    assert text_source("p.npy+s.npy", max_tokens=9) == Source(path="p.npy", suffix="s.npy", max_tokens=9)


def test_a_suffix_goes_with_ids_and_ids_are_nothing_else() -> None:
    for keys in ({"path": "a.csv", "suffix": "s.npy"}, {"path": "p.npy", "suffix": "s.csv"}, {"suffix": "s.npy"}):
        with pytest.raises(ValidationError, match=r"two \.npy files|exactly one"):
            Source(**keys)
    with pytest.raises(ValidationError, match="form: token ids have the form tokens, not qa"):
        Source(path="p.npy", form="qa")


def test_of_a_corpus_a_source_gives_a_share_or_a_count() -> None:
    assert Source(path="a", share=3).share == 3 and Source(path="a", count=3).count == 3
    with pytest.raises(ValidationError, match="share and count: give one of them"):
        Source(path="a", share=0.5, count=3)


@pytest.mark.parametrize(
    "keys", [{"share": 0}, {"share": -1}, {"share": float("inf")}, {"count": 0}, {"part": "train"}]
)
def test_what_no_source_can_give_is_refused(keys: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(keys))):
        Source(path="a", **keys)
