"""The corollary's bounds, and eq. 1's counter-example."""

import math

import numpy as np
import pytest

from experiments.surrogate.experiments import regression
from experiments.surrogate.implication import Rivals, after, violated
from experiments.surrogate.random_problems import everywhere, retuned, within
from experiments.surrogate.retune import EPSILON, descend, gap, retune
from experiments.surrogate.risks import Risk, Square
from experiments.surrogate.world import draw_any


def test_retuning_ends_at_the_first_step_within_epsilon() -> None:
    world = regression()
    found = retune(world, world.start)
    assert gap(world, descend(world, world.start, found.steps)) <= EPSILON
    assert gap(world, descend(world, world.start, found.steps - 1)) > EPSILON


def test_the_printed_bound_holds_at_one_over_beta_and_ours_at_every_step_size() -> None:
    runs = everywhere(retuned, 5)
    assert all(within(full.steps, full.printed) for full, _ in runs)
    assert all(within(slow.steps, slow.proved) for _, slow in runs)


def test_the_printed_bound_fails_for_a_small_step_size_on_a_flat_direction() -> None:
    world = regression()
    start = world.goal + 10 * world.U[:, 0]  # there L_D has nothing but its ridge
    slow = retune(world, start, part=0.2)
    rate, mu = 0.2 / world.smooth(world.domain), world.domain.ridge
    assert slow.steps == math.ceil(math.log(slow.before / EPSILON) / (-2 * math.log(1 - rate * mu)))
    assert slow.steps > slow.printed + 1
    assert slow.steps <= slow.proved


def test_the_gap_is_at_most_half_beta_times_the_squared_distance() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        world = draw_any("logistic", seed)
        theta = world.goal + rng.standard_normal(len(world.goal)) * 10 ** rng.uniform(-2, 2)
        assert gap(world, theta) <= world.smooth(world.domain) / 2 * np.linalg.norm(theta - world.goal) ** 2 * (
            1 + 1e-9
        )


def test_a_start_that_is_good_enough_takes_no_step() -> None:
    world = regression()
    for start in (world.goal, world.goal + 1e-6 * world.U[:, 0]):
        found = retune(world, start)
        assert (found.steps, found.printed) == (0, 0.0)


@pytest.mark.parametrize("part", [0.0, -1.0, 1.5])
def test_a_step_size_beyond_the_corollarys_is_refused(part: float) -> None:
    with pytest.raises(ValueError, match=r"part must be in \(0, 1\]"):
        retune(regression(), regression().start, part=part)


@pytest.mark.parametrize("rivals", [Rivals(), Rivals(0.02, 3.0, 0.9, 0.1), Rivals(0.5, 1.0, 0.1, 0.9)])
def test_the_closer_start_is_worse_from_the_closed_form_step_on(rivals: Rivals) -> None:
    turn = rivals.turn()
    assert rivals.r < 1 and turn >= 1
    for k in range(turn + 20):
        closer, farther = rivals.descended(k)
        assert (closer, farther) == pytest.approx((rivals.closer(k), rivals.farther(k)), rel=1e-9)
        assert (closer > farther) == (k >= turn)


def test_at_one_over_beta_any_closer_start_is_worse_after_one_step() -> None:
    curvatures = np.array([0.1, 1.0])
    assert after(curvatures, np.array([1e-6, 0.0]), 1.0, 1) > after(curvatures, np.array([0.0, 1.0]), 1.0, 1) == 0


def test_eq_1_is_true_where_the_curvature_is_one_and_where_the_starts_differ_in_such_a_space_alone() -> None:
    steep = np.array([0.05, 0.3, 1.0])
    for k in (0, 1, 30):
        assert violated(steep, 0.7, k) > 0.05
        assert violated(np.full(3, 0.3), 0.7, k) == 0
        assert violated(np.concatenate([np.full(2, 0.01), steep]), 0.7, k, only=2) == 0


def test_the_share_of_violations_is_that_of_descents_pair_by_pair() -> None:
    curvatures, alpha, steps = np.array([0.1, 0.5, 1.0]), 0.6, 4
    first, second = np.random.default_rng(9).standard_normal((2, 200, 3))
    bad = 0
    risk = Risk(np.sqrt(3) * np.diag(np.sqrt(curvatures)), Square(np.zeros(3)))
    for a, b in zip(first, second, strict=True):
        ends = []
        for theta in (a, b):
            for _ in range(steps):
                theta = theta - alpha * risk.gradient(theta)
            ends.append(risk.value(theta))
        bad += (np.linalg.norm(a) < np.linalg.norm(b)) != (ends[0] < ends[1])
    assert violated(curvatures, alpha, steps, pairs=200, seed=9) == bad / 200
