"""Refusals are seen by their first words, whatever their case and punctuation."""

import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.record import Record
from forgetting.metrics.refusal import refusal
from forgetting.metrics.registry import build_metric, on_splits


def said(generation, name="a"):
    return Record(id=name, split="forget", prompt="Where?", answer="Here.", generation=generation)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I don't know.", 1),
        ("I don\u2019t know that, sorry", 1),
        ("i do not  KNOW!", 1),
        ("I do not knowingly say so.", 0),
        ("Paris. I don't know.", 0),
        ("", 0),
        (None, None),
    ],
)
def test_an_answer_is_a_refusal_if_it_begins_with_one(text, value):
    assert refusal().value_of(said(text)) == value


def test_a_recipe_names_its_own_refusals_and_the_share_has_an_interval():
    metric = build_metric("refusal", {"texts": ["No comment"]})
    records = [said("No comment.", "a"), said("I don't know.", "b"), said("Here.", "c"), said("no, comment", "d")]
    [found] = on_splits(metric, ["forget"])({"forget": records}, None)
    assert (found.key, found.value, found.count) == ("forget/refusal", 0.5, 4)
    assert 0 < found.low < 0.5 < found.high < 1


def test_texts_without_words_are_refused():
    for texts in ([], ["..."]):
        with pytest.raises(RecipeError, match="texts are the refusals"):
            refusal(texts)
