"""Where two models do not differ, lens, probe and CKA call a difference no more often than their level.

Cases are arrays of small models, many at once: what the analyses compute of one case is computed of all, and equal to
theirs (first tests). What is called is what the report says: hidden in the model after beyond the oracle (lens, probe),
representations that differ by more than two readings of one model do (CKA).
"""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.analysis.geometry import _cka, _halves, _Layers
from forgetting.analysis.probe import told_apart
from forgetting.metrics.changes import change_intervals
from forgetting.metrics.proportions import wilson
from forgetting.metrics.statistics import Floats, seed_of

LEVEL = 0.05
BLOCK = 500
LAYERS = 3
MEANS = np.array([-4.0, -3.0, -3.5])  # log p by layer: in both models a middle one says more than the last
LATENT = np.array([4, 2, 1.5, 1, 1, 0.5])


def lens(rng: np.random.Generator, cases: int, facts: int) -> int:
    """Of models whose layers read the same facts with noise, in how many the best layer says more than the oracle's."""

    def hidden() -> Floats:
        read_KLN = MEANS[:, None] + 1.5 * rng.standard_normal((cases, 1, facts))
        read_KLN = read_KLN + rng.standard_normal((cases, LAYERS, facts))
        best_K = read_KLN.mean(2).argmax(1)
        more_KN = read_KLN[np.arange(cases), best_K] - read_KLN[:, -1]
        ends_K2 = np.full((cases, 2), np.nan)
        some_K = best_K < LAYERS - 1  # where the last layer is the best there is no interval
        more_KN = more_KN[some_K]
        ends_K2[some_K] = change_intervals(more_KN, np.ones_like(more_KN), key=str(rng.integers(2**60)))
        return ends_K2

    after_K2, oracle_K2 = hidden(), hidden()
    return int((after_K2[:, 0] > oracle_K2[:, 1]).sum())


def told(right_KND: Floats, wrong_KND: Floats, seed: int, folds: int = 5, strength: float = 100.0) -> Floats:
    """`told_apart` of K models at once, each question a source: `[K, N]`."""
    count = right_KND.shape[1]
    fold_of = np.random.default_rng(seed).permutation(count) % folds
    found_KN = np.full(right_KND.shape[:2], 0.5)
    for fold in range(folds):
        train_N, test_N = fold_of != fold, fold_of == fold
        states_KMD = np.concatenate([right_KND[:, train_N], wrong_KND[:, train_N]], axis=1)
        mean_K1D, spread_K1D = states_KMD.mean(1, keepdims=True), states_KMD.std(1, keepdims=True)
        scaled_KMD = (states_KMD - mean_K1D) / spread_K1D
        signs_M = np.repeat([1.0, -1.0], train_N.sum())
        square_KDD = np.einsum("kmd,kme->kde", scaled_KMD, scaled_KMD) + strength * np.eye(states_KMD.shape[2])
        weights_KD = np.linalg.solve(square_KDD, np.einsum("kmd,m->kd", scaled_KMD, signs_M)[..., None])[..., 0]
        apart_KnD = (right_KND[:, test_N] - wrong_KND[:, test_N]) / spread_K1D
        found_KN[:, test_N] = (np.sign(np.einsum("knd,kd->kn", apart_KnD, weights_KD)) + 1) / 2
    return found_KN


def probe(rng: np.random.Generator, cases: int, facts: int) -> int:
    """Of models of one layer that hold the facts equally well, in how many a probe reads more than in the oracle."""
    ends = np.array([wilson(right / facts, facts) for right in range(facts + 1)])
    axis_D = np.eye(8)[0]

    def right() -> Floats:
        states = [sign * 0.5 * axis_D + rng.standard_normal((cases, facts, 8)) for sign in (1, -1)]
        return ends[told(states[0], states[1], seed=int(rng.integers(2**60))).sum(1).astype(int)]

    after_K2, oracle_K2 = right(), right()
    return int((after_K2[:, 0] > oracle_K2[:, 1]).sum())


def alike(first: Floats, second: Floats) -> Floats:
    """Debiased CKA of Gram matrices, over the last two axes."""
    one, other = centred(first), centred(second)
    both, own, others = ((a * b).sum((-1, -2)) for a, b in ((one, other), (one, one), (other, other)))
    return np.asarray(both / np.sqrt(own * others))


def centred(gram: Floats) -> Floats:
    count = gram.shape[-1]
    bare = gram * (1 - np.eye(count))
    rows, total = bare.sum(-1) / (count - 2), bare.sum((-1, -2)) / ((count - 1) * (count - 2))
    return np.asarray(
        (bare - rows[..., None] - rows[..., None, :] + total[..., None, None]) * (1 - np.eye(count)), dtype=float
    )


def readings(rng: np.random.Generator, cases: int, texts: int) -> list[Floats]:
    """Start, after, even and odd tokens: four noisy readings of the same texts in each layer, `[K, L, N, D]`."""
    latent_K1NZ = LATENT * rng.standard_normal((cases, 1, texts, len(LATENT)))
    turned_KLZD = rng.standard_normal((cases, LAYERS, len(LATENT), 12))
    return [latent_K1NZ @ turned_KLZD + rng.standard_normal((cases, LAYERS, texts, 12)) for _ in range(4)]


def cka_ends(states: list[Floats], halves: list[list[int]]) -> tuple[Floats, Floats]:
    """The upper end of CKA's interval and its ceiling, `[K]`: what `_cka` gives of each case."""
    moved = [s - s.mean(2, keepdims=True) for s in states]
    start, after, even, odd = (m @ m.swapaxes(-1, -2) for m in moved)
    sampled_HK = np.stack([alike(start[..., h, :][..., h], after[..., h, :][..., h]).mean(1) for h in halves])
    high_K = alike(start, after).mean(1) + 1.96 * sampled_HK.std(0, ddof=1)
    return np.minimum(high_K, 1.0), alike(even, odd).mean(1)


def cka(rng: np.random.Generator, cases: int, texts: int) -> int:
    """Of models that are two readings of one representation, how many are said to differ by more than that."""
    halves = _halves([f"{n:03}" for n in range(texts)], int(rng.integers(2**60)))
    high_K, ceiling_K = cka_ends(readings(rng, cases, texts), halves)
    return int((high_K < ceiling_K).sum())


CALLS = {"lens": lens, "probe": probe, "cka": cka}


def called(of: str, examples: int, cases: int, seed: int) -> int:
    rng = np.random.default_rng([seed, examples])
    return sum(CALLS[of](rng, min(BLOCK, cases - done), examples) for done in range(0, cases, BLOCK))


def test_many_probes_at_once_are_the_probe() -> None:
    rng = np.random.default_rng(0)
    right_KND, wrong_KND = 0.7 + rng.standard_normal((3, 20, 8)), rng.standard_normal((3, 20, 8))
    names = [f"{n:03}" for n in range(20)]
    each = [told_apart(right, wrong, names, seed=5) for right, wrong in zip(right_KND, wrong_KND, strict=True)]
    assert told(right_KND, wrong_KND, 5).tolist() == [one.tolist() for one in each]


def test_many_ckas_at_once_are_the_analysis() -> None:
    states = [s.astype(np.float32) for s in readings(np.random.default_rng(0), 2, 12)]
    names = [f"{n:03}" for n in range(12)]
    high_K, ceiling_K = cka_ends([s.astype(float) for s in states], _halves(names, seed_of("role/cka")))
    for case in range(2):
        found = {m.name: m for m in _cka(_Layers("role", names, *(s[case] for s in states))).measures}
        assert found["cka"].high == pytest.approx(high_K[case], rel=1e-6)
        assert found["cka_ceiling"].value == pytest.approx(ceiling_K[case], rel=1e-6)


@pytest.mark.parametrize(("of", "examples"), [("lens", 12), ("probe", 20), ("cka", 12)])
def test_of_a_few_cases_of_nothing_hardly_any_is_called(of: str, examples: int) -> None:
    assert called(of, examples, 100, seed=0) < 0.1 * 100


@pytest.mark.slow
@pytest.mark.parametrize("examples", [12, 20, 40])
@pytest.mark.parametrize(("of", "cases"), [("lens", 33_000), ("probe", 333_334), ("cka", 10_000)])
def test_of_many_cases_of_nothing_no_more_than_the_level_are_called(of: str, cases: int, examples: int) -> None:
    found = called(of, examples, cases, seed=1)
    print(f"{of}, {examples} examples: {found} of {cases}")
    assert found / cases < LEVEL + 3 * (LEVEL * (1 - LEVEL) / cases) ** 0.5
