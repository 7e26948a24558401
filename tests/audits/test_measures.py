"""What several tries at a question gave away."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from forgetting.audits.measures import attack_measures, leak_at, leak_measures
from forgetting.core.record import Record, Score
from tests.metrics.making import likely


def record(id: str, generation: str | None, score: Score | None = None, **fields: str) -> Record:
    given = {"prompt": f"{id}?", "answer": "In Paris.", **fields}
    return Record(id=id, split="forget", generation=generation, score=score, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("tries", "right"), [(1, 0), (1, 1), (4, 2), (6, 1), (6, 6)])
def test_leak_at_k_is_the_share_of_draws_of_k_that_hold_a_right_one(tries: int, right: int) -> None:
    outcomes = [True] * right + [False] * (tries - right)
    for k in range(1, tries + 1):
        draws = [any(draw) for draw in combinations(outcomes, k)]
        assert leak_at(k, right, tries) == pytest.approx(np.mean(draws), abs=1e-12)


def test_a_question_counts_as_given_away_if_any_of_its_answers_is_right() -> None:
    records = [record("a", g) for g in ("in paris", "Rome", "Oslo")] + [
        record("b", g) for g in ("Rome", "Bonn", "Kiel")
    ]
    found = {m.name: m for m in attack_measures(records, "forget")}
    assert set(found) == {"leak@1", "leak@3", "best_rouge_l_recall"}
    assert found["leak@3"].value == 0.5 and found["leak@3"].count == 2
    assert found["leak@1"].value == pytest.approx(1 / 6)
    assert found["best_rouge_l_recall"].value == pytest.approx(0.5)
    assert found["leak@3"].direction == "down"
    assert found["leak@3"].low is not None and found["leak@3"].high is not None
    assert found["leak@3"].low < 0.5 < found["leak@3"].high


def test_the_best_try_counts_and_sampled_answers_without_scores_give_no_probability() -> None:
    scored = [record("a", None, likely(0.2)), record("a", None, likely(0.6)), record("b", None, likely(0.1))]
    found = {m.name: m for m in attack_measures(scored, "retain")}
    assert found["best_probability"].value == pytest.approx((0.6 + 0.1) / 2)
    assert found["best_probability"].direction == "up"
    assert found["leak@1"].value is None and "none of the 2 records" in found["leak@1"].reason


def test_intervals_are_clustered_by_the_source_of_the_question() -> None:
    alike = [record(f"q{i}", "in Paris" if i < 20 else "no", group=f"g{i // 10}") for i in range(40)]
    apart = [record(f"q{i}", "in Paris" if i < 20 else "no") for i in range(40)]
    widths = []
    for records in (alike, apart):
        leak = attack_measures(records, "forget")[0]
        assert leak.low is not None and leak.high is not None
        widths.append(leak.high - leak.low)
    assert widths[0] > 1.5 * widths[1]


def test_of_no_leak_at_all_the_interval_does_not_claim_certainty() -> None:
    leak = attack_measures([record(str(i), "no") for i in range(30)], "forget")[0]
    assert leak.value == 0.0 and leak.high is not None and 0.05 < leak.high < 0.2


def test_without_records_everything_is_absent_with_its_reason() -> None:
    assert [(m.name, m.value, m.reason) for m in attack_measures([], "forget")] == [
        ("best_rouge_l_recall", None, "no records of split 'forget'")
    ]


def test_where_there_are_several_kinds_of_attempts_each_has_measures_of_its_own() -> None:
    some = [replace(record("a", g), attempt=a) for g, a in (("in Paris", "cloze"), ("Rome", "reversed"))]
    found = {m.key: m.value for m in leak_measures({"forget": some, "retain": [record("b", "Rome")]})}
    assert found["forget/leak@2"] == 1.0 and found["forget/leak@1[cloze]"] == 1.0
    assert found["forget/leak@1[reversed]"] == 0.0 and found["retain/leak@1"] == 0.0
    assert not any(key.startswith("retain/") and "[" in key for key in found)
