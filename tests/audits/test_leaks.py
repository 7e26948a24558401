"""What an attack got out of a model, fact by fact."""

from dataclasses import replace
from itertools import combinations

import pytest

from forgetting.audits import clusters, leaks
from forgetting.core.record import Record
from forgetting.runs.redact import Redactor
from tests.audits.test_measures import record
from tests.metrics.making import likely


def test_a_fact_has_leaked_if_any_attempt_is_right_and_is_unknown_where_one_could_not_be_scored() -> None:
    tries = [record("a", "Rome"), record("a", "in paris"), record("a", None), record("b", "Rome"), record("b", "Bonn")]
    assert leaks([*tries, record("c", "Rome"), record("c", None)]) == {"a": 1.0, "b": 0.0, "c": None}


def test_half_of_the_attempts_include_a_right_one_as_often_as_all_halves_do() -> None:
    said = ["in Paris", "Rome", "Bonn", "in paris", "Oslo", "Rome"]
    halves = list(combinations(said, 3))
    share = sum(any(answer.casefold() == "in paris" for answer in half) for half in halves) / len(halves)
    found = leaks([*(record("a", answer) for answer in said), record("b", "in Paris"), record("c", None)], "leak@half")
    assert found == {"a": pytest.approx(share), "b": 1.0, "c": None} and 0 < share < 1


def test_the_probability_is_the_best_attempts_and_missing_is_not_nought() -> None:
    found = leaks([record("a", None, likely(0.2)), record("a", None, likely(0.6)), record("b", "Rome")], "probability")
    assert found == {"a": pytest.approx(0.6), "b": None}


def test_an_attempt_that_offers_answers_counts_as_a_choice_and_as_nothing_else() -> None:
    offered = replace(record("a", None, likely(0.6)), perturbed=(likely(0.2), likely(0.2)))
    records = [offered, record("a", "Rome", likely(0.1))]
    assert leaks(records, "choice") == {"a": pytest.approx(0.6)}
    assert leaks(records, "probability") == {"a": pytest.approx(0.1)}
    assert leaks(records) == leaks(records, "leak@half") == {"a": 0.0}
    assert leaks([replace(records[1], generation="in Paris"), offered, offered], "leak@half") == {"a": 1.0}
    assert leaks([offered]) == leaks([offered], "leak@half") == {"a": None}
    assert leaks(records[1:], "choice") == {"a": None}


def test_of_redacted_records_the_values_kept_of_their_texts_are_used() -> None:
    records: list[Record] = [record("a", "in Paris", group="x"), record("b", "Rome", group="x")]
    hidden = [Redactor(b"0" * 32).record(r) for r in records]
    assert list(leaks(hidden).values()) == list(leaks(records).values()) == [1.0, 0.0]
    assert clusters(records) == {"a": "x", "b": "x"} and len(set(clusters(hidden).values())) == 1
