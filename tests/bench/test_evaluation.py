"""Both ways to evaluate give the same numbers and answers, for answers that the model knows and does not know."""

from dataclasses import replace

import pytest
import torch

from bench.evaluation import summary
from bench.evaluation_arms import KINDS, QUICK, Sample, measure


@pytest.mark.parametrize("kind", KINDS)
def test_the_arms_agree(kind: str) -> None:
    sample = measure(kind, replace(QUICK, threads=torch.get_num_threads()))
    assert sample.equal == 1.0
    assert sample.error < 1e-5
    assert min(cpu for _, cpu in (sample.ours, sample.scored, *sample.passes.values())) > 0


def test_ratios_are_taken_within_a_round_and_without_the_truth_ratio_s_own_pass() -> None:
    def sample(generation: float, ours: float) -> Sample:
        passes = {"probability": 1.0, "paraphrase": 1.0, "perturbed": 2.0, "generation": generation, "truth ratio": 3.0}
        both = {name: (seconds, 2 * seconds) for name, seconds in passes.items()}
        return Sample("known", (2.0, 4.0), (ours, ours), both, 0.0, 1.0, 0.0)

    row = summary("known", [sample(4.0, 1.0), sample(4.0, 4.0), sample(8.0, 3.0)])
    assert [r["median"] for r in row["ratio"]] == [4.0, 8.0]
    assert row["ratio"][0] == {"median": 4.0, "low": 2.0, "high": 8.0}
    assert [r["median"] for r in row["ratio scored"]] == [2.0, 2.0]
    assert row["ratio with truth ratio"][0]["median"] == 5.0
