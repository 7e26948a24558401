"""MUSE's ROUGE is its own, not open-unlearning's, and its privleak needs the retrained model."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.core.record import Record
from forgetting.metrics.muse import answer_part, knowmem, leakage, plain_rouge_l, verbmem
from forgetting.metrics.text import rouge_l
from tests.golden import golden

GOLDEN = golden("muse_rouge")
ROWS = GOLDEN["figures"]


def record(row: dict) -> Record:
    return Record(id="x", split="knowmem", prompt=row["prompt"], answer=row["answer"], generation=row["model_writes"])


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_each_string_scores_as_in_muse(row: dict) -> None:
    what = knowmem if row["prompt"].startswith("Question:") else verbmem
    assert what.value_of(record(row)) == pytest.approx(row["muse"]["rougeL"], abs=1e-9)


def test_the_mean_is_muse_s_and_stemming_would_give_the_other_peer_s() -> None:
    ours = [knowmem.value_of(record(row)) for row in ROWS]
    assert np.mean([v for v in ours if v is not None]) == pytest.approx(GOLDEN["means"]["muse mean_rougeL"])
    stemmed = rouge_l(ROWS[1]["answer"], ROWS[1]["model_writes"])
    assert stemmed is not None and stemmed.f1 == pytest.approx(ROWS[1]["open_unlearning"]["rougeL_f1"])
    assert stemmed.f1 != pytest.approx(ROWS[1]["muse"]["rougeL"])


def test_an_answer_ends_where_the_next_question_begins() -> None:
    assert answer_part("Edda Marsh\n\nQuestion: Who?") == "Edda Marsh"
    assert answer_part("Edda Question: no") == "Edda "
    assert answer_part("one\nQuestions") == "one"
    assert answer_part("one\ntwo") == "one\ntwo"


def test_what_cannot_be_scored_is_missing_and_an_empty_answer_is_nought() -> None:
    silent = Record(id="x", split="s", prompt="q", answer="green")
    assert knowmem.value_of(silent) is None and verbmem.value_of(silent) is None
    assert plain_rouge_l("!?", "green") is None
    assert plain_rouge_l("green", "") == 0.0


def texts(split: str, scores: list[float]) -> list[Record]:
    return [
        Record(id=f"{split}{i}", split=split, prompt="", answer="a", values={"min_40": score})
        for i, score in enumerate(scores)
    ]


def leak(forget: list[float], holdout: list[float], oracle: tuple[list[float], list[float]] | None):
    def splits(members: list[float], others: list[float]):
        return {"f": texts("f", members), "h": texts("h", others)}

    found = leakage("f", "h")(splits(forget, holdout), None if oracle is None else splits(*oracle))
    return {m.name: m for m in found}


def test_privleak_is_a_distance_from_the_oracle_in_percent() -> None:
    found = leak([1.0, 2.0, 6.0], [3.0, 4.0, 5.0], ([3.0, 4.0, 6.0], [3.0, 4.0, 5.0]))
    ours, theirs = 3 / 9, 5 / 9  # 3 wins; (½) + (1 + ½) + 3 wins
    assert found["min_40_auc"].value == pytest.approx(1 - ours)
    assert found["privleak"].value == pytest.approx(100 * (ours - theirs) / theirs)
    assert found["privleak"].count == 6 and found["privleak"].low is None  # a resample of so few leaves no AUC


def test_without_a_comparable_oracle_privleak_has_a_reason() -> None:
    assert "name one as oracle" in leak([1.0], [2.0], None)["privleak"].reason
    assert leak([1.0], [2.0], ([1.0, 2.0], [2.0]))["privleak"].reason == "the oracle was asked about other texts"
    empty = leak([], [2.0], None)
    assert empty["min_40_auc"].reason == "there are no texts to compare" and empty["privleak"].value is None
