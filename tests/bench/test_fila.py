"""All arms of the FILA benchmark measure the same thing, and the error they report is that of the best rank."""

from dataclasses import replace

import pytest
import torch

from bench.fila import ARMS, ERROR_TARGET, QUICK, SPEC, Sample, data_of, error_of, measure, model_of, start, summary
from forgetting.models.adapters import linear_layers

SHAPE = replace(QUICK, threads=torch.get_num_threads())


def test_the_arms_agree_on_importance_and_start() -> None:
    found = {arm: start(arm, model_of(SHAPE), *data_of(SHAPE))[0] for arm in ARMS}
    weights = {name: layer.weight for name, layer in linear_layers(model_of(SHAPE)).items()}
    for name, (w, b, a) in found["naive"].items():
        for arm in ("ours", "split"):
            other_w, other_b, other_a = found[arm][name]
            torch.testing.assert_close(other_w, w, rtol=1e-4, atol=0)
            torch.testing.assert_close(other_b @ other_a, b @ a, rtol=1e-2, atol=1e-4)
    assert all(error_of(starts, weights) <= ERROR_TARGET for starts in found.values())


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_is_measured(arm: str) -> None:
    sample = measure(arm, SHAPE)
    assert sample.arm == arm
    assert min(sample.importance, sample.decomposition, sample.cpu) > 0
    assert 1 - 1e-9 <= sample.error <= ERROR_TARGET


def test_the_error_tells_a_worse_start() -> None:
    w, weight = torch.linspace(0.1, 3, 24).double(), torch.randn(24, 20, generator=torch.manual_seed(0))
    u, s, v = torch.linalg.svd(w[:, None] * weight.double(), full_matrices=False)
    scaling, rank = SPEC.scaled_alpha / SPEC.rank, SPEC.rank
    b, a = u[:, :rank] * s[:rank] / w[:, None] / scaling, v[:rank]
    assert error_of({"m": (w, b, a)}, {"m": weight}) == pytest.approx(1.0, abs=1e-9)
    assert error_of({"m": (w, 1.1 * b, a)}, {"m": weight}) > 1.02
    nothing = (w[:, None] * weight.double()).norm() / s[rank:].norm()
    assert error_of({"m": (w, 0 * b, a)}, {"m": weight}) == pytest.approx(float(nothing), rel=1e-9)


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [(8.0, 1.0), (2.0, 1.0), (9.0, 3.0)]
    samples = [
        Sample(arm, t / 2, t / 2, 2 * t, None, 1.0, 0.0)
        for pair in rounds
        for arm, t in zip(("naive", "ours"), pair, strict=True)
    ]
    row = summary("ours", samples)
    assert row["ratio"] == row["cpu_ratio"] == {"median": 3.0, "low": 2.0, "high": 8.0}
    assert row["peak_mib"] is None
