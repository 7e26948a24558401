"""Both arms of the extraction benchmark give the same continuations, at the level of memorization asked for."""

from dataclasses import replace

import pytest
import torch

from bench.el import QUICK, Sample, measure, summary


@pytest.mark.parametrize("level", [0.93, 0.3])
def test_the_arms_agree_on_sequences_of_that_level(level: float) -> None:
    sample = measure(level, replace(QUICK, sequences=4, threads=torch.get_num_threads()))
    assert sample.equal == 1.0
    assert sample.accuracy == pytest.approx(level, abs=0.15)
    assert min(*sample.ours, *sample.naive) > 0


def test_ratios_are_taken_within_a_round() -> None:
    pairs = ((8.0, 1.0), (2.0, 1.0), (9.0, 3.0))
    samples = [Sample(0.3, 0.3, (naive, 2 * naive), (ours, ours), 1.0, 0.0) for naive, ours in pairs]
    wall, processor = summary(0.3, samples)["ratio"]
    assert wall == {"median": 3.0, "low": 2.0, "high": 8.0}
    assert processor == {"median": 6.0, "low": 4.0, "high": 16.0}
