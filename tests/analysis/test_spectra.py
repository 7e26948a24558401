"""Spectra of gradients against brute-force figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.spectra import Spectrum, gradient_spectra, spectra, spectrum_of, weighted, weighted_rank
from forgetting.data.formatting import Formatting
from tests.analysis.test_sensitivity import llama, sequences
from tests.analysis.test_shifts import EXAMPLES, TOKENIZER, models
from tests.golden import golden
from tests.models.tiny import tiny_tokenizer

FIGURES = golden("spectral")


@pytest.mark.parametrize("budget", [None, 40_000])
def test_the_spectra_of_a_llama_have_the_figures_of_brute_force(budget: int | None) -> None:
    model = llama()
    found, tokens = gradient_spectra(model, tiny_tokenizer(), sequences(), formatting=Formatting(), budget=budget)
    assert tokens == FIGURES["N_positions"]
    assert [s.name for s in found] == FIGURES["order"]
    for one in found:
        expected = FIGURES["modules"][one.name]
        assert one.energy / tokens**2 == pytest.approx(expected["frobenius_squared"], rel=1e-4)
        assert np.sqrt(one.squares_K[:5]) / tokens == pytest.approx(expected["singular_values_top5"], rel=1e-4)
        assert [one.explained(r) for r in range(1, 9)] == pytest.approx(expected["ev_top8"], rel=1e-4)
        assert (one.rank_of(0.9), one.rank_of(0.99)) == (expected["rank_90"], expected["rank_99"])
        assert one.participation == pytest.approx(expected["participation"], rel=1e-3)
    ranks = range(1, len(FIGURES["energy_weighted_ev"]) + 1)
    assert [weighted(found, r) for r in ranks] == pytest.approx(FIGURES["energy_weighted_ev"], rel=1e-4)
    least = [min(s.explained(r) for s in found) for r in ranks]
    assert least == pytest.approx(FIGURES["layerwise_minimum_ev"], rel=1e-4)
    assert weighted_rank(found, 0.9) == FIGURES["energy_weighted_rank_90"]
    assert max(s.rank_of(0.9) for s in found) == FIGURES["bottleneck_rank_90"]
    assert all(p.grad is None for p in model.parameters())


def test_the_spectrum_of_a_matrix_is_that_of_its_singular_values() -> None:
    matrix = torch.randn(7, 12, generator=torch.Generator().manual_seed(0))
    for one in (matrix, matrix.T):
        found = spectrum_of("x", one)
        assert found.squares_K == pytest.approx(torch.linalg.svdvals(matrix.double()).square().numpy(), rel=1e-6)
        assert found.squares_K.sum() == pytest.approx(found.energy)


def test_all_the_energy_takes_every_direction() -> None:
    one = Spectrum("x", np.array([4.0, 4.0, 1.0, 1.0]), 10.0)
    assert [one.rank_of(share) for share in (0.4, 0.41, 0.8, 0.9, 1.0)] == [1, 2, 2, 3, 4]


def test_a_model_against_itself_has_the_same_spectra() -> None:
    before, after, _, _ = models()
    compared = Compared(before=before, after=before, tokenizer=TOKENIZER, examples=EXAMPLES)
    findings = ANALYSES.build("spectra")(compared)
    found = {m.key: m.value for m in findings.measures}
    assert found["forget/rank_start"] == found["forget/rank_after"]
    moved = ANALYSES.build("spectra")(Compared(before=before, after=after, tokenizer=TOKENIZER, examples=EXAMPLES))
    values = {m.key: m.value for m in moved.measures}
    assert values["forget/participation_start"] != values["forget/participation_after"]
    assert {s.figure for s in findings.series} == {"explained", "explained_least", "rank_shares"}


@pytest.mark.parametrize("keys", [{"examples": 0}, {"share": 0.0}, {"share": 1.1}])
def test_wrong_parameters_are_refused(keys: dict) -> None:
    with pytest.raises(ValueError, match="from 1 up"):
        spectra(**keys)
