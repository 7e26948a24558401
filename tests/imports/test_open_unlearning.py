"""open-unlearning's logs as records: every question once, with what the log says of it and nothing it does not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from forgetting.core.errors import DataError
from forgetting.core.record import Record
from forgetting.imports.open_unlearning import (
    aggregates,
    by_index,
    is_evaluation,
    is_summary,
    read_records,
)


def entry(rows: dict[str, Any], value: object = 0.5) -> dict[str, Any]:
    return {"agg_value": value, "value_by_index": rows}


LOG: dict[str, Any] = {
    "forget_Q_A_Prob": entry({"0": {"prob": 0.5, "avg_loss": 0.7}, "1": {"prob": 0.1, "avg_loss": 2.5}}),
    "forget_Q_A_PARA_Prob": entry({"0": {"prob": 0.4, "avg_loss": 0.9}}),
    "forget_Q_A_PERT_Prob": entry({"0": {"prob": [0.1, 0.2], "avg_loss": [2.0, 1.5]}, "2": {"avg_loss": None}}),
    "forget_Q_A_ROUGE": entry({"1": {"rougeL_recall": 1.0, "input": "q1", "ground_truth": "a1", "generation": "g1"}}),
    "retain_Q_A_Prob": entry({"0": {"prob": [0.3, 0.4], "avg_loss": [1.0, 2.0]}}),
    "retain_Q_A_PERT_Prob": entry({"0": {"prob": [0.2], "avg_loss": [1.6]}}),
    "ra_Q_A_PERT_Prob": entry({"7": {"prob": [0.2], "avg_loss": [1.6]}}),
    "wf_Q_A_Prob": entry({"0": {"prob": float("nan"), "avg_loss": float("nan")}}),
    "forget_knowmem_ROUGE": entry({"3": {"rougeL_recall": 0.5, "input": "k", "ground_truth": "t", "generation": None}}),
    "privleak": {"agg_value": -3},
    "broken": {"agg_value": None},
    "no number": {"value_by_index": {}},
}


def test_every_question_is_a_record_with_its_losses_and_words() -> None:
    found = {(r.split, r.id): r for r in read_records(LOG, "x")}
    assert list(found) == [
        ("forget", "0"),
        ("forget", "1"),
        ("forget", "2"),
        ("retain", "0"),
        ("real_authors", "7"),
        ("world_facts", "0"),
        ("forget_knowmem", "3"),
    ]

    def losses(record: Record) -> tuple[float | None, float | None, list[float]]:
        own, other = (None if s is None else s.loss for s in (record.score, record.paraphrase))
        return own, other, [score.loss for score in record.perturbed]

    assert losses(found["forget", "0"]) == (0.7, 0.9, [2.0, 1.5])
    assert losses(found["forget", "1"]) == (2.5, None, [])
    assert losses(found["forget", "2"]) == (None, None, []), "what the log could not score is missing"
    assert losses(found["retain", "0"]) == (1.5, None, []), "the mean of several; no truth ratio without a paraphrase"
    assert losses(found["real_authors", "7"]) == (None, None, [1.6])
    assert losses(found["world_facts", "0"]) == (None, None, [])
    one = found["forget", "1"]
    assert (one.prompt, one.answer, one.generation) == ("q1", "a1", "g1")
    assert one.score is not None and one.score.probability == pytest.approx(math.exp(-2.5))
    other = found["forget_knowmem", "3"]
    assert (other.prompt, other.answer, other.generation, other.score) == ("k", "t", None, None)


def test_a_row_of_another_form_is_refused_with_the_files_name() -> None:
    for row in ({"prob": 0.5}, {"avg_loss": "much"}, {"avg_loss": [None]}):
        with pytest.raises(DataError, match=r"^log\.json: not as open-unlearning writes it .*; evaluate again$"):
            read_records({"forget_Q_A_Prob": entry({"0": row})}, "log.json")


def test_a_logs_own_numbers_are_those_that_are_numbers() -> None:
    found = aggregates({**LOG, "plain": 2})
    assert (found["privleak"], found["plain"], found["forget_Q_A_Prob"]) == (-3.0, 2.0, 0.5)
    assert math.isnan(found["broken"]) and "no number" not in found


def test_values_by_question_are_the_rows_that_are_there() -> None:
    assert by_index({"a": entry({"1": {"score": 2}, "2": None})}, "a") == {"1": {"score": 2}}
    assert by_index(LOG, "privleak") == by_index(LOG, "absent") == by_index({"a": 3}, "a") == {}


def test_an_evaluation_a_summary_and_anything_else_are_told_apart() -> None:
    assert is_evaluation(LOG) and not is_summary(LOG)
    assert is_summary({"a": 1, "b": 0.5}) and not is_evaluation({"a": 1})
    assert not any(kind(log) for kind in (is_evaluation, is_summary) for log in ({}, [], None, {"a": "b"}))
