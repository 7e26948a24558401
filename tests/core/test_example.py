"""An example's id and the key of its interval."""

from forgetting.core.example import Example, content_id


def test_an_id_follows_from_what_is_said_and_only_from_that() -> None:
    assert content_id("a", "b") == content_id("a", "b")
    assert len({content_id("a", "b"), content_id("ab", ""), content_id("", "ab"), content_id("b", "a")}) == 4
    assert len(content_id("", "")) == 12


def test_examples_of_one_group_share_a_cluster() -> None:
    assert Example(id="1", response="x", group="fact").cluster == "fact"
    assert Example(id="1", response="x").cluster == "1"
