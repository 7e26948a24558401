"""What may save the intention of eq. 3: six ways to forget, from one pretrained logistic model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.surrogate.retune import retune
from experiments.surrogate.risks import NPO, Array, CrossEntropy, Probability, Risk
from experiments.surrogate.unlearn import Direction, Trace, Weights, unlearn
from experiments.surrogate.world import World

STEPS = 2000
WINDOW = 0.5
"""A step is good where ‖P_U θ‖ is at most this share of its start."""


@dataclass(frozen=True)
class Reading:
    """One way to forget and where it led."""

    name: str
    trace: Trace
    step: float
    """η, chosen so that all ways begin with a step of the same length on U."""
    best: int
    """The step with the least ‖P_U θ‖."""
    good: int
    """How many of the steps 1 … T leave at most half of ‖P_U θ₀‖."""
    believed: tuple[float, float]
    """Mean probability of the forget labels after `best` and after T steps; `believed` tells it before."""
    retuned: tuple[int, int]
    """Steps of retuning to ε from `best` and from T."""


def believed(world: World, theta: Array) -> float:
    """The mean probability that the model gives to the forget data's own labels."""
    return float(Probability(_sign(world)).value(world.natural.inputs @ theta).mean())


def readings(world: World, *, first: float = 0.05, steps: int = STEPS) -> list[Reading]:
    """Every way from θ₀, each with η such that its first forget step moves P_U θ by `first`·‖P_U θ₀‖."""
    inputs, sign = world.natural.inputs, _sign(world)
    reference = -np.logaddexp(0.0, -sign * (inputs @ world.start))
    own, ridge = world.natural.loss, world.natural.ridge
    ways: list[tuple[str, Risk, Direction]] = [
        ("ascent, regularised risk", Risk(inputs, own, ridge), "ascent"),
        ("ascent, data term alone", Risk(inputs, own), "ascent"),
        ("NPO, β = 0.1", Risk(inputs, NPO(sign, reference, 0.1)), "descent"),
        ("NPO, β = 1", Risk(inputs, NPO(sign, reference, 1.0)), "descent"),
        ("bounded: descent on p(y|x)", Risk(inputs, Probability(sign)), "descent"),
        ("descent to the neutral target", Risk(inputs, world.neutral.loss, ridge), "descent"),
    ]
    return [_reading(world, name, risk, direction, first, steps) for name, risk, direction in ways]


def _reading(world: World, name: str, risk: Risk, direction: Direction, first: float, steps: int) -> Reading:
    length = np.linalg.norm(world.u(risk.gradient(world.start)))
    rate = float(first * np.linalg.norm(world.u(world.start)) / length)
    trace = unlearn(world, risk, direction, replace(Weights(), rate=rate, steps=steps))
    best = int(trace.norms.argmin())
    ends = trace.path[best], trace.path[-1]
    return Reading(
        name=name,
        trace=trace,
        step=rate,
        best=best,
        good=int(np.sum(trace.norms[1:] <= WINDOW * trace.norms[0])),
        believed=(believed(world, ends[0]), believed(world, ends[1])),
        retuned=(retune(world, ends[0]).steps, retune(world, ends[1]).steps),
    )


def _sign(world: World) -> Array:
    assert isinstance(world.natural.loss, CrossEntropy)
    return 2 * world.natural.loss.target - 1
