"""A log's own number beside ours: equal up to rounding, or the reason why it is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from forgetting.core.measure import Measure
from forgetting.core.record import Record, Score
from forgetting.imports.checks import EQUAL, Check, check_open_unlearning, check_tofu
from forgetting.imports.open_unlearning import read_records


def entry(rows: dict[str, Any], value: object) -> dict[str, Any]:
    return {"agg_value": value, "value_by_index": rows}


def one(name: str, log: dict[str, Any], measures: tuple[Measure, ...] = ()) -> Check:
    return next(c for c in check_open_unlearning(log, read_records(log, "x"), measures) if c.name == name)


@pytest.mark.parametrize(
    ("logged", "ours", "equal"),
    [
        (0.5, 0.5 * (1 + EQUAL / 2), True),
        (0.5, 0.5 * (1 + 3 * EQUAL), False),
        (0.0, 1e-13, True),
        (None, 0.5, False),
        (0.5, None, False),
    ],
)
def test_two_numbers_are_equal_up_to_the_rounding_of_a_log(
    logged: float | None, ours: float | None, equal: bool
) -> None:
    assert Check("x", logged, ours).equal is equal


def test_a_mean_that_the_rows_give_is_equal_and_another_is_explained() -> None:
    losses = [0.2, 1.7, 3.1]
    rows = {str(i): {"prob": math.exp(-x), "avg_loss": x} for i, x in enumerate(losses)}
    mean = sum(math.exp(-x) for x in losses) / 3
    found = one("forget_Q_A_Prob", {"forget_Q_A_Prob": entry(rows, mean)})
    assert (found.ours, found.key, found.note, found.equal) == (
        pytest.approx(mean),
        "forget/probability",
        "",
        True,
    )
    half = {i: {**row, "prob": float(np.float16(row["prob"]))} for i, row in rows.items()}
    rounded = sum(row["prob"] for row in half.values()) / 3
    assert "rounded (half precision)" in one("forget_Q_A_Prob", {"forget_Q_A_Prob": entry(half, rounded)}).note
    other = one("forget_Q_A_Prob", {"forget_Q_A_Prob": entry(rows, 0.9)})
    assert (other.equal, other.note) == (False, "the log's rows do not give the log's number")
    spoiled = one("forget_Q_A_Prob", {"forget_Q_A_Prob": entry(rows, None)})
    assert spoiled.logged is None and spoiled.ours == pytest.approx(mean) and "spoils its mean" in spoiled.note


def ratio_log(value: float, right: float, wrong: list[float]) -> dict[str, Any]:
    """One question of the forget set, of these losses, and a logged truth ratio."""
    return {
        "forget_Q_A_Prob": entry({"0": {"prob": math.exp(-right), "avg_loss": right}}, math.exp(-right)),
        "forget_Q_A_PARA_Prob": entry({"0": {"prob": math.exp(-right), "avg_loss": right}}, math.exp(-right)),
        "forget_Q_A_PERT_Prob": entry({"0": {"prob": [math.exp(-x) for x in wrong], "avg_loss": wrong}}, 0.0),
        "forget_truth_ratio": entry({"0": {"score": value}}, value),
    }


def test_a_truth_ratio_is_ours_or_the_logs_other_reading_is_named() -> None:
    right, wrong = 1.2, [2.0, 3.0]
    ratio = math.exp(-2.5) / math.exp(-1.2)
    same = one("forget_truth_ratio", ratio_log(min(ratio, 1 / ratio), right, wrong))
    assert same.equal and same.ours == pytest.approx(ratio)
    share = math.exp(-1.2) / (math.exp(-1.2) + math.exp(-2.5))
    assert "p(right) / (p(right) + p(wrong))" in one("forget_truth_ratio", ratio_log(share, right, wrong)).note
    far = 25.0  # p(right) is below the constant that open-unlearning adds
    shifted = math.exp(-2.5) / (math.exp(-far) + 1e-10)
    folded = min(shifted, 1 / (shifted + 1e-10))
    note = one("forget_truth_ratio", ratio_log(folded, far, wrong)).note
    assert note.startswith("open-unlearning adds 1e-10 to p(right)") and note.endswith("(1 of 1 questions)")


def test_which_overlap_a_log_averages_is_told_by_its_number() -> None:
    said = {"input": "q", "ground_truth": "a b c d", "generation": "a b x"}
    rows = {"0": {"rougeL_recall": 0.5, "rougeL_f1": 4 / 7, **said}}
    for value, key in ((0.5, "forget_knowmem/rouge_l_recall"), (4 / 7, "forget_knowmem/rouge_l_f1")):
        found = one("forget_knowmem_ROUGE", {"forget_knowmem_ROUGE": entry(rows, value)})
        assert (found.key, found.ours, found.equal) == (key, pytest.approx(value), True)


def test_an_overlap_that_is_no_number_is_left_out() -> None:
    said = {"input": "q", "ground_truth": "a b c d", "generation": "a b x"}
    rows = {"0": {"rougeL_recall": 0.5, "rougeL_f1": [None], **said}}
    assert (
        one("forget_knowmem_ROUGE", {"forget_knowmem_ROUGE": entry(rows, 0.5)}).key == "forget_knowmem/rouge_l_recall"
    )


def test_a_utility_that_differs_is_traced_to_its_parts() -> None:
    names = ["retain_Q_A_Prob", "retain_Q_A_ROUGE", "retain_truth_ratio"]
    names += [f"{s}_{w}" for s in ("ra", "wf") for w in ("Q_A_Prob_normalised", "Q_A_ROUGE", "Truth_Ratio")]
    parts = {name: {"agg_value": 0.2 + i / 10} for i, name in enumerate(names)}
    utility = 9 / sum(1 / part["agg_value"] for part in parts.values())
    ours = (Measure(name="model_utility", split="all", value=0.123, count=9),)
    log = {"forget_Q_A_Prob": entry({}, 0.0), **parts}
    traced = one("model_utility", {**log, "model_utility": {"agg_value": utility}}, ours)
    assert traced.note.startswith("follows from its parts that differ: retain_Q_A_Prob") and traced.ours == 0.123
    other = one("model_utility", {**log, "model_utility": {"agg_value": utility / 2}}, ours)
    assert other.note == "the harmonic mean of the log's own nine parts is another number"


def test_without_an_oracle_there_is_no_forget_quality_and_it_is_said_what_to_give() -> None:
    found = one("forget_quality", {"forget_quality": {"agg_value": 0.4}, "forget_Q_A_Prob": entry({}, 0.0)})
    assert (found.logged, found.ours) == (0.4, None) and found.note.endswith("--oracle")


def test_tofus_columns_are_compared_with_what_the_others_give() -> None:
    records = [
        Record(
            id=str(i),
            split="forget",
            prompt="q",
            answer="a b c d",
            generation=said,
            score=Score(logp=-2.0, tokens=2),
            paraphrase=Score(logp=-3.0, tokens=2),
            perturbed=(Score(logp=-4.0, tokens=2), Score(logp=-8.0, tokens=2)),
        )
        for i, said in enumerate(("a b", "a b c d"))
    ]
    ratio = math.exp(-3.0) / math.exp(-1.5)
    logs = {
        "log": {"rougeL_recall": {"0": 0.5, "1": 1.0}, "truth_ratio": {"0": ratio, "1": ratio}},
        "empty": {"rougeL_recall": {}},
    }
    names = {"log": "forget", "empty": "retain"}
    found = {c.name: c for c in check_tofu(logs, names, records)}
    assert {name: (c.logged, c.equal) for name, c in found.items()} == {
        "log: rougeL_recall": (0.75, True),
        "log: truth_ratio": (pytest.approx(ratio), True),
    }
    logs["log"]["rougeL_recall"]["1"] = 0.9
    wrong = next(c for c in check_tofu(logs, names, records) if c.name == "log: rougeL_recall")
    assert (wrong.ours, wrong.note) == (0.75, "the log's rows do not give the log's number")
