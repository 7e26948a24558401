"""The claims on many random problems, each of random size, spectra, weights, step size and start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from experiments.surrogate.experiments import corollary
from experiments.surrogate.retune import Retuned, retune
from experiments.surrogate.unlearn import Trace, Weights, unlearn
from experiments.surrogate.world import Kind, World, draw_any

T = TypeVar("T")
PROBLEMS = 100
"""Random problems of each kind."""
RETUNED = 10
"""Those of each kind that are retuned, which takes most of the time."""
SLOW = 0.25
"""α·β of the slower retuning."""


@dataclass(frozen=True)
class Outcome:
    """One problem whose forget risk has its minimum on U at 0, ηλ(β + μ_F) ≤ 2."""

    descent: Trace
    ascent: Trace
    alone: Trace
    """Ascent without the retain term."""
    certain: float
    """(1 + ηλμ_F)ᵀ: what ascent alone grows by at least."""
    distance: float
    """‖θ̃₀ − θ*‖ ÷ the corollary's bound, after descent."""
    drift: float
    """‖P_V θ_T − θ*‖ ÷ ‖P_V θ₀ − θ*‖, after descent."""
    first: float
    """‖P_U θ₁‖ ÷ ‖P_U θ₀‖ of a short ascent step on the forget data's own labels, from the pretrained θ₀."""
    fits: bool
    """Whether that θ₀ has a lower forget risk than P_V θ₀ has."""


def outcome(kind: Kind, seed: int, *, steps: int = 40) -> Outcome:
    """Everything that is asked of one random problem, short of retuning."""
    pretrained, weights, start = _drawn(kind, seed, steps)
    world, forget, own = replace(pretrained, start=start), pretrained.neutral, pretrained.natural
    descent = unlearn(world, forget, "descent", weights)
    end, alone = descent.path[-1], replace(weights, retain=0.0)
    short = unlearn(pretrained, own, "ascent", replace(alone, rate=1e-4, forget=1.0, steps=1)).norms
    in_v = pretrained.V @ pretrained.v(pretrained.start)
    return Outcome(
        descent=descent,
        ascent=unlearn(world, forget, "ascent", weights),
        alone=unlearn(world, forget, "ascent", alone),
        certain=(1 + weights.rate * weights.forget * world.strong(forget)) ** steps,
        distance=float(np.linalg.norm(end - world.goal)) / corollary(world, descent),
        drift=float(np.linalg.norm(world.v(end - world.goal)) / np.linalg.norm(world.v(start - world.goal))),
        first=float(short[1] / short[0]),
        fits=own.value(pretrained.start) < own.value(in_v),
    )


def retuned(kind: Kind, seed: int) -> tuple[Retuned, Retuned]:
    """Retuning after descent with step sizes 1/β and a quarter of it."""
    world, weights, start = _drawn(kind, seed, 40)
    end = unlearn(replace(world, start=start), world.neutral, "descent", weights).path[-1]
    return retune(world, end), retune(world, end, part=SLOW)


def within(steps: int, bound: float) -> bool:
    """Whether a number of steps meets a bound that need not be whole."""
    return steps <= math.ceil(bound)


def everywhere(function: Callable[[Kind, int], T], problems: int) -> list[T]:
    """`function` of so many problems of each kind."""
    kinds: tuple[Kind, ...] = ("regression", "logistic")
    return [function(kind, seed) for kind in kinds for seed in range(problems)]


def _drawn(kind: Kind, seed: int, steps: int) -> tuple[World, Weights, np.ndarray]:
    world, rng = draw_any(kind, seed), np.random.default_rng([seed, 2])
    forget = float(10 ** rng.uniform(-1, 0.5))
    most = 2 / (forget * (world.smooth(world.neutral) + world.strong(world.neutral)))
    rate = float(rng.uniform(0.02, 1)) * most
    retain = float(rng.uniform(0, 1)) * min(1.0, 1 / (rate * world.smooth(world.retain)))  # else descent on it diverges
    return world, Weights(rate, forget, retain, steps), world.start + rng.standard_normal(len(world.start))
