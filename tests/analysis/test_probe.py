"""A probe finds a direction that is there, and nothing where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.probe import probe, told_apart
from tests.analysis.test_calibration import EXAMPLES
from tests.analysis.test_shifts import TOKENIZER, models


def states(shift: float, seed: int = 0, count: int = 60) -> tuple[np.ndarray, np.ndarray, list[str]]:
    r = np.random.default_rng(seed)
    subject = r.standard_normal((count, 20))
    right, wrong = (subject + 0.5 * r.standard_normal((count, 20)) for _ in range(2))
    right[:, 3] += shift
    return right, wrong, [str(i // 2) for i in range(count)]


def test_a_direction_of_truth_is_found_on_subjects_that_it_never_saw() -> None:
    assert told_apart(*states(3.0)).mean() > 0.9


def test_where_there_is_none_it_is_at_chance_and_so_is_the_control() -> None:
    found = [told_apart(*states(0.0, seed)).mean() for seed in range(30)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)
    control = [told_apart(*states(3.0, seed), seed=seed, control=True).mean() for seed in range(30)]
    assert np.mean(control) == pytest.approx(0.5, abs=0.12)


def test_what_is_known_of_a_subject_does_not_help() -> None:
    """Each subject has a direction of its own; a probe that saw the subject would know it."""
    r = np.random.default_rng(5)
    own = 5 * r.standard_normal((30, 40))
    clusters = [str(i // 4) for i in range(120)]
    base = np.repeat(own, 4, axis=0)
    right = base + r.standard_normal((120, 40))
    wrong = -base + r.standard_normal((120, 40))
    found = [told_apart(right, wrong, clusters, seed=seed).mean() for seed in range(5)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.2)


def test_equal_states_are_a_tie() -> None:
    right, _, clusters = states(0.0)
    assert told_apart(right, right, clusters) == pytest.approx(np.full(60, 0.5))


def test_measures_by_model_with_a_control_and_a_reason_where_subjects_are_few() -> None:
    before, after, _, _ = models()
    compared = Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("probe")(compared)
    found = {m.key: m for m in findings.measures}
    assert {"forget/probe_start", "forget/probe_after", "forget/probe_control"} <= set(found)
    assert 0 <= found["forget/probe_after"].value <= 1
    few = Compared(before=before, after=after, tokenizer=TOKENIZER, examples={"forget": EXAMPLES["forget"][:4]})
    reasons = [m.reason for m in ANALYSES.build("probe")(few).measures]
    assert reasons == ["4 subjects with wrong answers; a probe needs 10"] * 2


@pytest.mark.parametrize("keys", [{"folds": 1}, {"strength": 0.0}, {"strength": float("nan")}])
def test_wrong_parameters_are_refused(keys: dict) -> None:
    with pytest.raises(ValueError, match="from 2 up"):
        probe(**keys)
