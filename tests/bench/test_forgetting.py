"""The arms of the Forgetting SFT benchmark do the same arithmetic, and a quick run gives every figure."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from bench.forgetting import COMPARISONS, overhead, published_overhead, run, summary
from bench.forgetting_arms import ARMS, STAGES, Sample, bare_epoch
from bench.forgetting_rows import QUICK, adapted, rows_of, signed, stages, step_batches
from bench.process import Elapsed
from bench.report import Plan, Report

SHAPE = replace(QUICK, threads=torch.get_num_threads())


def took(seconds: float) -> Elapsed:
    return Elapsed(seconds, 2 * seconds, 0.0)


def sample(part: str, arm: str, *seconds: float) -> Sample:
    return Sample(part, arm, dict(zip(STAGES, map(took, seconds), strict=False)), ())


@pytest.fixture(scope="module")
def quick() -> Report:
    """All arms once, on toy sizes, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.forgetting.in_fresh_process", lambda _, function, *given: function(*given))
        return run(Plan(quick=True, rounds=1, threads=SHAPE.threads, say=lambda line: None))


def sampled(quick: Report, part: str) -> dict[str, dict]:
    return {s["arm"]: s for s in quick.data["samples"] if s["part"] == part}


def test_all_ways_of_scoring_give_the_same_losses(quick: Report) -> None:
    found = {arm: s["losses"] for arm, s in sampled(quick, "scoring").items()}
    assert tuple(found) == ARMS["scoring"]
    assert found["ours"] == pytest.approx(found["plain"], rel=1e-6)
    assert found["ours"] == pytest.approx(found["floor"], rel=1e-6)
    base, reference = found["ours"]
    assert abs(base - reference) > 1e-5 * base, "the reference is another model"


@pytest.mark.parametrize("arm", ARMS["epoch"])
def test_the_trainer_and_the_bare_loop_take_the_same_steps(quick: Report, arm: str) -> None:
    _, train = stages(SHAPE)
    rows = rows_of(SHAPE)[SHAPE.apart :]
    batches = step_batches(signed(rows) if arm == "forgetting" else rows, train)
    bare = bare_epoch(adapted(SHAPE, train), batches, train)
    ours = sampled(quick, "epoch")[arm]["losses"]
    assert len(ours) == len(bare) == 4
    assert ours == pytest.approx(bare, rel=1e-5)
    assert len(set(ours)) == 4


def test_the_whole_trains_the_bare_loops_reference_and_goes_through_all_stages(quick: Report) -> None:
    ours, floor = (sampled(quick, "whole")[arm] for arm in ARMS["whole"])
    assert tuple(ours["times"]) == tuple(floor["times"]) == STAGES
    assert len(ours["losses"]) == len(floor["losses"]) == 1 + 4
    assert ours["losses"][0] == pytest.approx(floor["losses"][0], rel=1e-5)


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [((1, 2, 5), (1, 1, 2), 4.0), ((1, 1, 2), (1, 1, 2), 2.0), ((3, 2, 5), (1, 2, 2), 5.0)]
    samples = [
        made
        for ours, floor, full in rounds
        for made in (sample("whole", "ours", *ours), sample("whole", "floor", *floor), sample("epoch", "sft", full))
    ]
    whole, reference = (next(c for c in COMPARISONS if (c.part, c.stage) == ("whole", s)) for s in (None, "reference"))
    assert summary(whole, samples)["ratio"] == {"median": 2.0, "low": 1.0, "high": 2.0}
    assert summary(reference, samples)["cpu_ratio"] == {"median": 1.0, "low": 1.0, "high": 3.0}
    assert overhead(samples)["ours"]["time"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert overhead(samples)["floor"]["cpu"] == {"median": 0.0, "low": 0.0, "high": 1.0}


def test_the_papers_overheads_are_those_it_prints() -> None:
    printed = {
        "llama-3.2-3b": {"Forgetting": 0.3171, "Ignoring": 0.2146},
        "llama-3.1-8b": {"Forgetting": 0.2565, "Ignoring": 0.1729},
    }
    assert published_overhead() == {model: pytest.approx(by, abs=5e-5) for model, by in printed.items()}


def test_a_quick_run_gives_every_figure(quick: Report) -> None:
    assert set(quick.data) == {"shape", "settings", "summary", "overhead", "published_overhead", "samples"}
    assert len(quick.data["samples"]) == sum(map(len, ARMS.values()))
    assert [row["target"] for row in quick.data["summary"]] == [1.1, 1.1, 1.03, 1.1, None, None, None]
    assert all(row["ratio"]["median"] > 0 for row in quick.data["summary"])
    adapter = quick.data["settings"]["train"]["adapter"]
    assert (adapter["rank"], adapter["alpha"], adapter["dropout"]) == (64, 16, 0.1)
    assert quick.table.row_count == len(COMPARISONS)
    json.dumps(quick.data)
