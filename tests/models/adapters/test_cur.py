"""Columns and rows are drawn by the inverse of their share of the squared norm, from the seed alone."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.models.adapters.cur import draw, inverse_probabilities, seed_of
from tests.golden import figures


@pytest.fixture(scope="module")
def golden() -> dict:
    return figures("curlora")


def golden_matrix() -> np.ndarray:
    """As the figures' `_inputs` say: `[24, 16]`."""
    random = np.random.RandomState(41)
    return random.randn(24, 16) * np.exp(random.randn(24, 1)) * np.exp(0.5 * random.randn(1, 16))


def by_hand(matrix: list[list[float]]) -> list[float]:
    """(1 / p_j) / Σ (1 / p_i) of each column, number by number."""
    whole = sum(value * value for row in matrix for value in row)
    shares = [sum(row[j] ** 2 for row in matrix) / whole for j in range(len(matrix[0]))]
    inverse = [1 / share for share in shares]
    return [value / sum(inverse) for value in inverse]


def test_the_probabilities_are_the_inverse_of_the_columns_share_of_the_squared_norm() -> None:
    matrix = golden_matrix()
    found = inverse_probabilities((matrix**2).sum(0))
    assert found == pytest.approx(by_hand(matrix.tolist()), rel=1e-12)
    assert found == pytest.approx(inverse_probabilities(1e-12 * (matrix**2).sum(0)), rel=1e-12)


def test_norms_of_a_matrix_of_many_blocks_are_those_of_the_whole() -> None:
    weight = torch.randn(1100, 7, generator=torch.Generator().manual_seed(0)).bfloat16()
    random = np.random.RandomState(3)
    expected = [
        random.choice(len(squares), size=5, replace=False, p=inverse_probabilities(squares))
        for squares in (weight.double().square().sum(dim).numpy() for dim in (0, 1))
    ]
    assert [found.tolist() for found in draw(weight, 5, seed=3)] == [found.tolist() for found in expected]


def test_the_smaller_column_is_the_likelier_one_in_both_drawings() -> None:
    squares = np.array([4.0, 1.0, 16.0])
    assert inverse_probabilities(squares) == pytest.approx([4 / 21, 16 / 21, 1 / 21], rel=1e-12)
    assert list(np.argsort(inverse_probabilities(squares, "released"))) == [2, 0, 1]


def test_pairs_come_as_often_as_drawing_one_after_the_other_says() -> None:
    weight = torch.tensor([[1.0, 2.0, 0.5, 1.5], [1.0, 0.5, 0.5, 1.0], [0.0, 1.0, 1.0, 1.0]])
    p = inverse_probabilities(weight.double().square().sum(0).numpy())
    count = 1500
    pairs = Counter(tuple(draw(weight, 2, seed=seed)[0].tolist()) for seed in range(count))
    for first, second in permutations(range(4), 2):
        expected = p[first] * p[second] / (1 - p[first])
        deviation = (expected * (1 - expected) / count) ** 0.5
        assert abs(pairs[first, second] / count - expected) < 4 * deviation, (first, second)


def test_nothing_is_drawn_twice_and_all_is_drawn_when_the_rank_is_full() -> None:
    weight = torch.from_numpy(golden_matrix())
    for seed in range(50):
        columns, rows = draw(weight, 12, seed=seed)
        assert len(set(columns.tolist())) == len(set(rows.tolist())) == 12
    assert sorted(draw(weight, 16, seed=0)[0].tolist()) == list(range(16))


def test_the_seed_decides_and_no_global_random_state_is_touched() -> None:
    weight = torch.from_numpy(golden_matrix())
    np.random.seed(3), torch.manual_seed(3)
    one, again, other = (draw(weight, 5, seed=seed) for seed in (1, 1, 2))
    drawn = np.random.rand(), float(torch.rand(()))
    np.random.seed(3), torch.manual_seed(3)
    assert drawn == (np.random.rand(), float(torch.rand(())))
    assert torch.equal(one[0], again[0]) and torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])


def test_each_matrix_has_a_seed_of_its_own() -> None:
    assert seed_of(0, "layers.0.q_proj") == seed_of(0, "layers.0.q_proj")
    assert len({seed_of(seed, f"layers.{i}.q_proj") for seed in range(20) for i in range(20)}) == 400


def test_a_column_of_zeros_is_never_drawn_and_too_few_others_are_told() -> None:
    weight = torch.ones(4, 5)
    weight[:, [1, 3]] = 0
    assert {i for seed in range(20) for i in draw(weight, 3, seed=seed)[0].tolist()} == {0, 2, 4}
    with pytest.raises(ModelError, match=r"^q_proj: 3 columns that are not zero, too few for rank 4; lower"):
        draw(weight, 4, seed=0, where="q_proj")
    with pytest.raises(ModelError, match=r"0 columns that are not zero"):
        draw(torch.zeros(3, 3), 1, seed=0)
    assert draw(torch.zeros(3, 3), 2, seed=0, drawing="released")[0].shape == (2,)


def test_an_unknown_drawing_is_told_in_one_line() -> None:
    with pytest.raises(ModelError, match="drawing: 'relased' is not known; did you mean 'released'") as error:
        draw(torch.ones(2, 2), 1, seed=0, drawing="relased")
    assert "\n" not in str(error.value)


def test_the_released_probabilities_are_those_of_the_released_code(golden: dict) -> None:
    matrix = golden_matrix()
    for what, axis in (("column", 0), ("row", 1)):
        squares = (matrix**2).sum(axis)
        assert squares / squares.sum() == pytest.approx(golden[f"{what}_probs"], rel=1e-9)
        found = inverse_probabilities(squares, "released")
        assert found.dtype == np.float32
        assert found == pytest.approx(golden[f"inverted_{what}_probs_float32"], rel=3e-7)
        assert found == pytest.approx(golden[f"inverted_{what}_probs_float64"], rel=3e-7)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_released_drawing_takes_what_the_released_code_takes(seed: int, golden: dict) -> None:
    weight = torch.from_numpy(golden_matrix())
    expected = golden[f"np_seed_{seed}"]
    columns, rows = draw(weight, 4, seed=seed, drawing="released")
    assert (columns.tolist(), rows.tolist()) == (expected["columns"], expected["rows"])
    assert len(set(columns.tolist())) == 4 - expected["duplicates_in_columns"]
    assert weight[:, columns].numpy() == pytest.approx(np.array(expected["C"]), rel=1e-9)
    assert weight[rows].numpy() == pytest.approx(np.array(expected["R"]), rel=1e-9)
