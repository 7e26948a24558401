"""Calibration of two models among offered answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.calibration import options_of
from forgetting.core.example import Example
from forgetting.core.record import Record, Score
from tests.analysis.test_shifts import TOKENIZER, by_hand, models
from tests.models.tiny import WORDS

FEW = WORDS[-4:]
EXAMPLES = {
    "forget": [
        Example(id=f"f{i}", prompt=f"the {w}", response=FEW[i % 4], perturbed=tuple(x for x in FEW if x != FEW[i % 4]))
        for i, w in enumerate(WORDS[:12])
    ],
    "retain": [Example(id="r", prompt="a", response="bird")],
}


def record(logps: list[float], name: str = "a") -> Record:
    scores = [Score(logp, 2) for logp in logps]
    return Record(id=name, split="forget", prompt="", answer="", score=scores[0], perturbed=tuple(scores[1:]))


def test_options_are_shares_of_probabilities_per_token() -> None:
    shares, place = options_of(record([-2.0, -4.0, -6.0]))
    weights = np.exp([-1.0, -2.0, -3.0])
    assert shares[place] == pytest.approx(weights[0] / weights.sum())
    assert sorted(shares) == pytest.approx(sorted(weights / weights.sum()))


def test_the_right_option_stands_anywhere_so_ties_are_no_gift() -> None:
    places = [options_of(record([-1.0] * 4, str(i)))[1] for i in range(400)]
    assert np.bincount(places, minlength=4) == pytest.approx([100] * 4, abs=30)


@pytest.mark.parametrize("logps", [[-1.0], [-1.0, math.nan], [-math.inf, -math.inf]])
def test_what_cannot_be_scored_offers_nothing(logps: list[float]) -> None:
    assert options_of(record(logps)) is None


def test_measures_are_those_of_full_logits_and_the_guess_stands_beside() -> None:
    before, after, plain, changed = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("calibration")(compared)
    found = {m.key: m for m in findings.measures}
    for point, model in (("start", plain), ("after", changed)):
        right, surprise = [], []
        for e in EXAMPLES["forget"]:
            options = [e.response, *e.perturbed]
            logs = np.array([np.mean(by_hand(model, Example(id="x", prompt=e.prompt, response=o))[0]) for o in options])
            shares = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
            right.append(float(shares.argmax() == 0))
            surprise.append(-math.log(shares[0]))
        assert found[f"forget/accuracy_{point}"].value == pytest.approx(np.mean(right))
        assert found[f"forget/nll_{point}"].value == pytest.approx(np.mean(surprise), abs=1e-4)
        assert found[f"forget/nll_{point}"].low < found[f"forget/nll_{point}"].value < found[f"forget/nll_{point}"].high
    assert found["forget/nll_guess"].value == pytest.approx(math.log(4))
    assert found["forget/brier_guess"].value == pytest.approx(0.75)
    assert found["retain/ece_after"].value is None and found["retain/ece_after"].reason == "no wrong answers"
    assert {s.figure for s in findings.series} == {"reliability", "confidences", "risk_coverage"}
