import pytest

from forgetting.core.errors import DataError, RecipeError
from forgetting.metrics.forget_quality import forget_quality
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean, toward_oracle
from forgetting.metrics.score import by_split, score
from tests.metrics.making import record

RECORDS = [record("a", "forget", p=0.5), record("a", "retain", p=0.75), record("b", "forget", p=0.25)]
likely_answers = mean(probability, ["forget", "retain"], "up")


def test_records_are_grouped_by_split_in_their_order():
    assert {name: [r.id for r in members] for name, members in by_split(RECORDS).items()} == {
        "forget": ["a", "b"],
        "retain": ["a"],
    }


def test_every_metric_sees_every_split():
    found = score([likely_answers], RECORDS)
    assert {m.key: m.value for m in found} == pytest.approx({"forget/probability": 0.375, "retain/probability": 0.75})


def test_the_oracle_reaches_the_metrics():
    asked = [record("a", right=0.5, wrong=[0.5])]
    assert [m.direction for m in score([toward_oracle(likely_answers)], RECORDS, RECORDS)] == ["oracle", "oracle"]
    assert [m.value for m in score([forget_quality(["forget"])], asked, asked)] == [1.0, 0.0]


def test_scoring_twice_gives_the_same_numbers():
    assert score([likely_answers], RECORDS) == score([likely_answers], RECORDS)


def test_no_metrics_or_no_records_give_nothing_to_read():
    assert score([], RECORDS) == []
    assert [m.value for m in score([likely_answers], [])] == [None, None]


def test_two_metrics_of_one_name_are_refused():
    with pytest.raises(RecipeError, match="'forget/probability' is measured by two metrics"):
        score([likely_answers, mean(probability, ["forget"], "down")], RECORDS)


def test_an_oracle_of_other_questions_is_refused_by_the_first_and_how_many_match():
    others = [record("a", "forget"), record("c", "forget"), record("b", "retain", prompt="Why?")]
    with pytest.raises(
        DataError, match=r"split 'forget', id 'b' \('Question b\?'\) is not among them \(1 of 3 match\)"
    ):
        score([likely_answers], RECORDS, others)
    with pytest.raises(DataError, match=r"split 'forget', id 'a' .* \(0 of 3 match\)"):
        score([likely_answers], RECORDS, [record("a", "elsewhere")])
    with pytest.raises(DataError, match=r"split 'forget', id 'a' .* \(2 of 3 match\)"):
        score([likely_answers], RECORDS, [record("a", "forget", prompt="Why?"), *RECORDS[1:]])


def test_an_oracle_that_was_asked_more_or_fewer_splits_is_one():
    more = [*RECORDS, record("z", "forget"), record("z", "elsewhere")]
    only_forget = [r for r in RECORDS if r.split == "forget"]
    assert score([likely_answers], RECORDS, more) == score([likely_answers], RECORDS, only_forget)


def test_a_record_that_comes_twice_is_refused():
    with pytest.raises(DataError, match="the records: id 'a' occurs twice in split 'forget'"):
        score([likely_answers], [*RECORDS, RECORDS[0]])
    with pytest.raises(DataError, match="the oracle's records: id 'a' occurs twice"):
        score([likely_answers], RECORDS, [RECORDS[0], RECORDS[0]])
