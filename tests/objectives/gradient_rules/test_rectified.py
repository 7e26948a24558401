"""GRU's rule: the published figures, in float64, over tensors of any shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules import build_gradient_rule, rectified
from forgetting.objectives.gradient_rules.rule import Gradient
from forgetting.training.gradients import inner

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "gru.json").read_text())["GRU"]


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """g, m, m2 as `inputs` words it: m opposes g."""
    random = np.random.default_rng(0)
    g, m, m2 = (random.standard_normal(12) for _ in range(3))
    if m @ g > 0:
        m -= 1.2 * g * (m @ g) / (g @ g)
    return g, m, m2


def gradient(vector: np.ndarray) -> Gradient:
    """Cut into parameters of several shapes, one of which no term reaches."""
    t = torch.from_numpy(np.array(vector))
    return Gradient((t[:6].reshape(2, 3), None, t[6:7].reshape(()), t[7:]), inner)


def flat(g: Gradient) -> Tensor:
    return torch.cat([t.reshape(-1) for t in g.tensors if t is not None])


def test_a_conflicting_gradient_is_projected_as_published() -> None:
    g, m, _ = drawn()
    assert gradient(g).dot(gradient(m)) == pytest.approx(GOLDEN["dot"], rel=1e-12)
    rule = rectified(gamma=1.0, add_retain=False)
    found = flat(rule.combine([gradient(g), gradient(m)]))
    np.testing.assert_allclose(found, GOLDEN["projected"], rtol=1e-12)
    assert abs(float(found @ torch.from_numpy(m))) < 1e-14


def test_a_strong_conflict_is_projected_wholly_where_the_released_clip_leaves_a_part() -> None:
    g, _, m2 = drawn()
    mean = -g + 0.3 * m2
    found = flat(rectified(gamma=1.0, add_retain=False).combine([gradient(g), gradient(mean)]))
    np.testing.assert_allclose(found, GOLDEN["strong_conflict"]["full_projection"], rtol=1e-10)
    assert GOLDEN["strong_conflict"]["clipped_dot_M"] < -3 and abs(float(found @ torch.from_numpy(mean))) < 1e-12


def test_the_mean_weighs_the_new_gradient_by_gamma_from_zero() -> None:
    _, m, m2 = drawn()
    rule = rectified(gamma=0.8)
    for retain in (m, m2):
        rule.combine([gradient(np.zeros(12)), gradient(retain)])
    mean = flat(Gradient(rule.state_dict()["mean"], inner))
    np.testing.assert_allclose(mean, 0.8 * m2 + 0.2 * 0.8 * m, rtol=1e-12)
    np.testing.assert_allclose(mean, GOLDEN["ema_after_two_steps"], rtol=1e-12)


def test_gradients_that_agree_are_left_alone_and_the_retain_gradient_is_added_where_asked() -> None:
    g, m, _ = drawn()
    alone = flat(rectified(gamma=0.5, add_retain=False).combine([gradient(-g), gradient(m)]))
    np.testing.assert_array_equal(alone, -g)
    both = flat(rectified(gamma=0.5).combine([gradient(-g), gradient(m)]))
    np.testing.assert_allclose(both, m - g, rtol=1e-12)


def test_without_memory_it_is_a_gem_s_projection_on_this_step_s_retain_gradient() -> None:
    """g − (gᵀr/rᵀr)·r where gᵀr < 0, else g; earlier retain gradients leave no trace."""
    random = np.random.default_rng(5)
    rule, signs = rectified(gamma=1.0, add_retain=False), set()
    for _ in range(6):
        g, r = random.standard_normal(12), random.standard_normal(12)
        expected = g - min(g @ r, 0.0) / (r @ r) * r
        np.testing.assert_allclose(flat(rule.combine([gradient(g), gradient(r)])), expected, rtol=1e-12)
        signs.add(bool(g @ r < 0))
    assert signs == {True, False}


def test_a_parameter_that_only_the_mean_reaches_takes_part_in_the_projection() -> None:
    one, two = torch.tensor([1.0]), torch.tensor([2.0])
    rule = rectified(gamma=1.0, add_retain=False)
    found = rule.combine([Gradient((one, None), inner), Gradient((-one, two.clone()), inner)])
    assert flat(found).tolist() == pytest.approx([0.8, 0.4])


def test_it_continues_from_what_was_saved() -> None:
    g, m, m2 = drawn()
    whole, part, resumed = rectified(), rectified(), rectified()
    part.combine([gradient(g), gradient(m)])
    whole.combine([gradient(g), gradient(m)])
    resumed.load_state_dict({"mean": tuple(None if t is None else t.clone() for t in part.state_dict()["mean"])})
    ends = [flat(rule.combine([gradient(g), gradient(m2)])) for rule in (whole, resumed)]
    assert torch.equal(*ends)
    whole.load_state_dict({})
    assert whole.state_dict() == {}


@pytest.mark.parametrize("gamma", [0, 1.5, True, "big"])
def test_a_share_without_meaning_is_refused(gamma: object) -> None:
    with pytest.raises(RecipeError, match=r"gradients: rectified: gamma is .*; it must be above 0 and at most 1"):
        build_gradient_rule("rectified", {"gamma": gamma})


def test_it_needs_forget_terms_and_others() -> None:
    rule = rectified()
    assert rule.parts((("retain",), ("forget", "alternate"), ("train",))) == (
        ("forget", "alternate"),
        ("retain", "train"),
    )
    for role in ("train", "forget"):
        with pytest.raises(RecipeError, match=rf"gradients: rectified weighs .* the method reads {role} only"):
            rule.parts(((role,),))
