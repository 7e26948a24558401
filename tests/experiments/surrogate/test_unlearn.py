"""Which sign contracts P_U θ and which makes it grow, on many random problems; each condition is needed."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.surrogate.experiments import regression, step_sizes, tilted
from experiments.surrogate.random_problems import outcome
from experiments.surrogate.risks import Risk, Square
from experiments.surrogate.unlearn import Weights, unlearn
from experiments.surrogate.world import Kind, Shape, World, draw, draw_any

SEEDS = range(1000, 1040)
KINDS: tuple[Kind, ...] = ("regression", "logistic")
EACH = [(kind, seed) for kind in KINDS for seed in SEEDS]


def norm(world: World, theta: np.ndarray) -> float:
    """‖P_U θ‖ by the projection matrix."""
    return float(np.linalg.norm(world.U @ np.linalg.inv(world.U.T @ world.U) @ world.U.T @ theta))


def test_descent_meets_the_bound_and_ascent_grows_on_random_problems() -> None:
    for kind, seed in EACH:
        found = outcome(kind, seed, steps=25)
        assert found.descent.excess() <= 1 and found.descent.excess_all() <= 1, (kind, seed)
        assert found.ascent.shortfall() <= 1 + 1e-9, (kind, seed)
        assert found.alone.norms[-1] >= found.certain * found.alone.norms[0] * (1 - 1e-9), (kind, seed)
        assert found.alone.excess() > 1, (kind, seed)


def test_a_trace_is_eq_3_and_its_bounds_are_the_papers() -> None:
    world, weights = draw_any("regression", 3), Weights(0.03, 1.3, 0.4, 7)
    for direction, sign in (("ascent", 1), ("descent", -1)):
        trace = unlearn(world, world.neutral, direction, weights)
        theta, pushes = world.start, []
        for t in range(7):
            push = world.retain.gradient(theta)
            pushes.append(norm(world, push))
            theta = theta + sign * 0.03 * 1.3 * world.neutral.gradient(theta) - 0.03 * 0.4 * push
            np.testing.assert_allclose(trace.path[t + 1], theta, rtol=1e-12)
            assert trace.norms[t + 1] == pytest.approx(norm(world, theta))
        hessian = world.U.T @ world.neutral.hessian(theta) @ world.U
        mu = float(np.linalg.eigvalsh(hessian)[0])
        bound = (1 - 0.03 * 1.3 * mu) * trace.norms[:-1] + 0.03 * 0.4 * max(pushes)
        np.testing.assert_allclose(trace.upper, bound)
        late = (1 - 0.03 * 1.3 * mu) ** 7 * trace.norms[0] + 0.4 * max(pushes) / (1.3 * mu)
        assert trace.upper_all[-1] == pytest.approx(late)


def test_the_spaces_are_what_the_paper_assumes() -> None:
    for kind, seed in EACH[:10] + EACH[-10:]:
        world = draw_any(kind, seed)
        both = np.hstack([world.V, world.U])
        np.testing.assert_allclose(both.T @ both, np.eye(len(both)), atol=1e-12)
        assert np.linalg.norm(world.u(world.goal)) < 1e-9, "θ* lies in V"
        assert np.linalg.norm(world.u(world.neutral.gradient(world.V @ np.ones(world.V.shape[1])))) < 1e-12, (
            "minimum at 0"
        )
        hessian = world.neutral.hessian(world.start)
        assert np.abs(world.V.T @ hessian @ world.U).max() < 1e-10, "separable"
        values = np.linalg.eigvalsh(world.U.T @ hessian @ world.U)
        assert world.strong(world.neutral) <= values[0] * (1 + 1e-9)
        assert values[-1] <= world.smooth(world.neutral) * (1 + 1e-9)


def test_the_step_size_limit_is_exact() -> None:
    held = {product: trace.excess() <= 1 for product, trace in step_sizes(regression())}
    assert held == {product: product <= 2 for product in held}
    assert any(held.values()) and not all(held.values())


def test_descent_on_own_labels_ends_where_they_are_fitted() -> None:
    world = regression()
    trace = unlearn(world, world.natural, "descent", Weights(retain=0.0, steps=800))
    moments = world.U.T @ world.natural.moments() @ world.U
    assert isinstance(world.natural.loss, Square)
    fitted = np.linalg.solve(moments, world.U.T @ world.natural.inputs.T @ world.natural.loss.target / 160)
    np.testing.assert_allclose(world.u(trace.path[-1]), fitted, rtol=1e-8)
    assert trace.excess_all() > 100


def test_a_forget_risk_that_is_not_separable_breaks_the_bound_and_the_cross_term_mends_it() -> None:
    for tilt in (0.25, 1.0):
        found = tilted(tilt)
        assert found.trace.excess() > 1 and found.trace.excess_all() > 1
        assert found.mended <= 1
    assert tilted(0.0).trace.excess() <= 1


def test_ascent_on_own_labels_passes_0_at_each_directions_own_time() -> None:
    forget, general = np.array([1.0, 0.7, 0.4, 0.2]), np.array([0.2, 1.0, 0.5, 0.1])
    world = draw(Shape(on_u=tuple(forget), general_on_u=tuple(general)), 2)
    held = general + Shape().domain_ridge
    path = world.u(unlearn(world, world.natural, "ascent", Weights(0.2, 1.0, 0.0, 30)).path)
    fitted = path[0] * (forget + held) / forget
    times = np.arange(31)[:, None]
    np.testing.assert_allclose(path, fitted * (1 - (1 + 0.2 * forget) ** times * held / (held + forget)), rtol=1e-9)
    crossings = np.log(1 + forget / held) / np.log(1 + 0.2 * forget)
    assert [int(np.argmax(path[:, i] / path[0, i] <= 0)) for i in range(4)] == list(np.ceil(crossings))
    assert crossings.max() > 2 * crossings.min()


def test_ascent_on_a_concave_risk_is_descent_on_its_negative() -> None:
    world = regression()
    concave = Risk(world.neutral.inputs, _Negative(world.neutral.loss.target))
    up = unlearn(world, concave, "ascent", Weights())
    np.testing.assert_array_equal(up.path, unlearn(world, world.neutral, "descent", Weights()).path)


class _Negative(Square):
    def slope(self, z):
        return -super().slope(z)


def test_ascent_shrinks_in_its_first_step_only_where_the_forget_data_speak_for_u() -> None:
    """A step of ascent shrinks P_U θ only if L_F(P_V θ) > L_F(θ)."""
    shrank, kept = 0, 0
    for kind, seed in EACH:
        world = draw_any(kind, seed)
        rng = np.random.default_rng(seed)
        theta = world.start + rng.standard_normal(len(world.start)) * 2
        rate = float(10 ** rng.uniform(-4, 0.5))
        norms = unlearn(world, world.natural, "ascent", Weights(rate, 1.0, 0.0, 1), theta).norms
        fits = world.natural.value(theta) < world.natural.value(world.V @ world.v(theta))
        assert fits or norms[1] >= norms[0], (kind, seed)
        shrank, kept = shrank + int(norms[1] < norms[0]), kept + int(not fits)
    assert shrank > 5 and kept > 5, "both happen here"


def test_a_problem_is_drawn_the_same_every_time() -> None:
    one, other = (draw(Shape(), 3) for _ in range(2))
    np.testing.assert_array_equal(one.start, other.start)
    assert not np.allclose(one.start, draw(Shape(), 4).start)
    assert not np.allclose(one.start, draw(replace(Shape(), leak=0.2, rows=200), 3).start)
