import pytest

from forgetting.core.record import Record
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import PerExample, mean, toward_oracle
from tests.metrics.making import record

words = PerExample(
    "words", lambda r: None if r.generation is None else float(len(r.generation.split())), "Words.", "text"
)


def spoken(id: str, text: str | None, split: str = "forget") -> Record:
    return record(id, split, generation=text)


def test_a_function_of_one_record_becomes_a_mean_with_count_interval_direction_and_meaning():
    records = {"forget": [spoken("a", "one"), spoken("b", "one two three"), spoken("c", None)]}
    [found] = mean(words, ["forget"], "down")(records, None)
    assert found.key == "forget/words"
    assert (found.value, found.count) == (2.0, 2)  # (1 + 3) / 2; the third was not asked
    assert found.low == 1.0
    assert found.high == 3.0
    assert (found.direction, found.meaning, found.reason) == ("down", "Words.", "")


def test_each_split_gives_its_own_measure():
    records = {"forget": [spoken("a", "one")], "retain": [spoken("b", "one two", "retain")]}
    found = mean(words, ["forget", "retain"], "up")(records, None)
    assert {m.key: m.value for m in found} == {"forget/words": 1.0, "retain/words": 2.0}


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({}, "no records of split 'forget'"),
        ({"forget": []}, "no records of split 'forget'"),
        ({"forget": [spoken("a", None), spoken("b", None)]}, "none of the 2 records of split 'forget' has text"),
    ],
)
def test_without_anything_to_score_there_is_a_reason_and_no_zero(records, reason):
    [found] = mean(words, ["forget"], "up")(records, None)
    assert (found.value, found.count, found.reason) == (None, 0, reason)


def test_the_goal_is_the_oracle_where_it_was_asked_too():
    metric = toward_oracle(mean(probability, ["forget", "secrets"], "down"))
    records = {"forget": [record("a", p=0.5)], "secrets": [record("a", "secrets", p=0.5)]}
    assert [m.direction for m in metric(records, None)] == ["down", "down"]
    assert [m.direction for m in metric(records, {"forget": records["forget"]})] == ["oracle", "down"]
    assert [m.value for m in metric(records, {"forget": records["forget"]})] == pytest.approx([0.5, 0.5])
