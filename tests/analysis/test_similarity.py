"""Similarities of representations against the figures of independent implementations, and against what they must be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from forgetting.analysis.similarity import cka, debiased_cka, directions, gram, svcca
from forgetting.core.errors import DataError
from tests.golden import golden

CASES = golden("geometry")["cases"]


def states(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The representations of a case, as its file describes them."""
    if name == "unrelated_wide":
        r = np.random.default_rng(2)
        return r.standard_normal((20, 64)), r.standard_normal((20, 48))
    p = CASES[name]["params"]
    r = np.random.default_rng(p["seed"])
    first = r.standard_normal((p["n"], p["dx"])) * p["scale"] ** np.arange(p["dx"])
    mixed = r.standard_normal((p["dx"], p["dy"]))
    return first, first @ mixed + p["noise"] * r.standard_normal((p["n"], p["dy"])) + 3.0


@pytest.mark.parametrize("name", sorted(CASES))
def test_cka_is_that_of_the_figures(name: str) -> None:
    first, second = states(name)
    grams = gram(first), gram(second)
    assert cka(*grams) == pytest.approx(CASES[name]["cka_linear"], abs=1e-12)
    assert debiased_cka(*grams) == pytest.approx(CASES[name]["cka_debiased"], abs=1e-11)
    assert cka(gram(10 * first), grams[1]) == pytest.approx(CASES[name]["cka_linear"], abs=1e-12)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("share", [0.9, 0.99])
def test_svcca_is_that_of_the_figures(name: str, share: float) -> None:
    expected = CASES[name]["svcca"][str(share)]
    found = svcca(*states(name), share)
    assert found is not None
    assert found.kept == (expected["kx"], expected["ky"])
    assert found.rho == pytest.approx(expected["rho"], abs=1e-9)
    assert found.mean == pytest.approx(expected["mean_rho"], abs=1e-9)
    assert found.trivial == expected["trivially_one"]
    assert found.examples_wanted == 5 * (expected["kx"] + expected["ky"])


def test_the_published_notebook_has_these_values() -> None:
    random = np.random.RandomState(1337)
    first = random.randn(100, 10)
    second = random.randn(100, 10) + first
    published = golden("geometry")["notebook"]["published"]
    assert cka(gram(first), gram(second)) == pytest.approx(published["linear"], abs=5e-6)
    assert debiased_cka(gram(first), gram(second)) == pytest.approx(published["debiased"], abs=5e-6)


def test_directions_and_their_angles_are_those_of_the_figures() -> None:
    expected = golden("geometry")["pca_shift"]
    r = np.random.default_rng(3)
    start = r.standard_normal((40, 10)) * 0.7 ** np.arange(10) + 1.0
    after = start + 0.3 * r.standard_normal((40, 10)) + 0.5 * (np.arange(10) == 2)
    found, share = directions(start, 3)
    assert found[0] == pytest.approx(expected["u1"], abs=1e-12)
    assert share == pytest.approx(expected["explained_share_pc1"], abs=1e-12)
    angles = subspace_angles(found.T, directions(after, 3)[0].T)
    assert angles == pytest.approx(expected["subspace_angles_top3_rad"], abs=1e-9)


def test_what_does_not_vary_has_no_similarity() -> None:
    flat, other = np.full((8, 3), 1 / 3), np.random.default_rng(0).standard_normal((8, 3))
    assert cka(gram(flat), gram(other)) is None
    assert debiased_cka(gram(other), gram(flat)) is None
    assert svcca(flat, other) is None
    assert directions(flat, 2)[0].shape == (0, 3)


def test_three_examples_are_too_few_for_the_debiased_one() -> None:
    some = gram(np.random.default_rng(0).standard_normal((3, 5)))
    with pytest.raises(DataError, match="3 examples"):
        debiased_cka(some, some)


def test_the_same_representation_rotated_and_scaled_is_the_same() -> None:
    r = np.random.default_rng(5)
    some = r.standard_normal((30, 6))
    turned = 3.0 * some @ np.linalg.qr(r.standard_normal((6, 6)))[0] + 2.0
    assert cka(gram(some), gram(turned)) == pytest.approx(1.0, abs=1e-12)
    assert debiased_cka(gram(some), gram(turned)) == pytest.approx(1.0, abs=1e-12)
    found = svcca(some, turned)
    assert found is not None and found.mean == pytest.approx(1.0, abs=1e-9)


def test_unrelated_representations_have_a_debiased_similarity_of_nothing_on_average() -> None:
    r = np.random.default_rng(6)
    values, biased = [], []
    for _ in range(4000):
        grams = [gram(r.standard_normal((12, 30))) for _ in range(2)]
        values.append(debiased_cka(*grams))
        biased.append(cka(*grams))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert np.mean(biased) > 0.6
