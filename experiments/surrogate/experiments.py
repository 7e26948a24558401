"""What is measured: the four cases of sign and minimum, broken conditions, retuning, λ/σ, and many random problems."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.surrogate.retune import Retuned, retune
from experiments.surrogate.unlearn import Direction, Trace, Weights, unlearn
from experiments.surrogate.world import Shape, World, draw

SEED = 0
PAPER = Weights()
RIDGE = 0.05
"""Regularisation of the forget risk where it has one."""


def regression(tilt: float = 0.0) -> World:
    """The problem of the page."""
    return draw(Shape(tilt=tilt), SEED)


def logistic() -> World:
    """Its logistic twin."""
    return draw(Shape(kind="logistic", forget_ridge=RIDGE), SEED)


def dips(general_on_u: tuple[float, ...], problems: int = 20) -> list[tuple[float, int]]:
    """Ascent on own labels from θ₀ in several draws: the least ‖P_U θ‖ ÷ start, and its step."""
    worlds = (draw(Shape(general_on_u=general_on_u), seed) for seed in range(problems))
    norms = [unlearn(world, world.natural, "ascent", PAPER).norms for world in worlds]
    return [(float(n.min() / n[0]), int(n.argmin())) for n in norms]


@dataclass(frozen=True)
class Case:
    """One sign on one forget risk."""

    minimum: str
    direction: Direction
    world: World
    trace: Trace


def cases(world: World, weights: Weights = PAPER) -> list[Case]:
    """Both signs on both forget risks: the proposition is about one of the four."""
    risks = {"at 0 (neutral target)": world.neutral, "at u_F ≠ 0 (own labels)": world.natural}
    directions: tuple[Direction, ...] = ("descent", "ascent")
    return [
        Case(name, direction, world, unlearn(world, risk, direction, weights))
        for name, risk in risks.items()
        for direction in directions
    ]


def step_sizes(world: World) -> list[tuple[float, Trace]]:
    """η = 1/β as the paper allows, and λ past what the proof allows: (ηλ(β + μ_F), trace). No retain term."""
    beta, mu = world.smooth(world.neutral), world.strong(world.neutral)
    products = (0.5 * (beta + mu) / beta, (beta + mu) / beta, 1.5 * (beta + mu) / beta, 2.0, 2.1, 2.6)
    found = []
    for product in products:
        weights = Weights(rate=1 / beta, forget=product * beta / (beta + mu), retain=0.0, steps=PAPER.steps)
        found.append((product, unlearn(world, world.neutral, "descent", weights)))
    return found


@dataclass(frozen=True)
class Tilted:
    """The proposition where L_F is not separable."""

    tilt: float
    trace: Trace
    mended: float
    """The largest ‖P_U θ⁺‖ ÷ (printed one-step bound + ηλ‖H_UV P_V θ‖)."""


def tilted(tilt: float) -> Tilted:
    """Descent on the neutral target, where forget inputs in U go along with a part in V. No retain term."""
    world = regression(tilt)
    trace = unlearn(world, world.neutral, "descent", replace(PAPER, retain=0.0))
    mixed = world.U.T @ world.neutral.moments() @ world.V
    pull = PAPER.rate * PAPER.forget * np.linalg.norm(world.v(trace.path[:-1]) @ mixed.T, axis=1)
    return Tilted(tilt, trace, float(np.max(trace.norms[1:] / (trace.upper + pull))))


def retunings(world: World) -> list[tuple[str, Retuned, Retuned]]:
    """Retuning from every start: (name, with 50 steps for `after`, with 500)."""
    own, neutral = unlearn(world, world.natural, "ascent", PAPER), unlearn(world, world.neutral, "ascent", PAPER)
    best = int(own.norms.argmin())
    starts = {
        "θ₀": world.start,
        "descent, neutral target": unlearn(world, world.neutral, "descent", PAPER).path[-1],
        "descent, own labels": unlearn(world, world.natural, "descent", PAPER).path[-1],
        "retain alone (λ = 0)": unlearn(world, world.natural, "descent", replace(PAPER, forget=0.0)).path[-1],
        f"ascent, own labels, stopped after {best}": own.path[best],
        f"ascent, own labels, {PAPER.steps} steps": own.path[-1],
        f"ascent, neutral target, {PAPER.steps} steps": neutral.path[-1],
    }
    return [(name, retune(world, theta, length=50), retune(world, theta, length=500)) for name, theta in starts.items()]


@dataclass(frozen=True)
class Ratio:
    """One σ with λ = 1: the corollary's bound and what is."""

    retain: float
    bound: float
    on_u: float
    """‖P_U θ̃₀‖ after descent."""
    descended: Retuned
    ascended: Retuned


def ratios(world: World) -> list[Ratio]:
    """λ/σ from ¼ to ∞; the bound is that of descent on the neutral target."""
    found = []
    for retain in (4.0, 2.0, 1.0, 0.5, 0.25, 0.0):
        weights = replace(PAPER, retain=retain)
        down = unlearn(world, world.neutral, "descent", weights)
        up = unlearn(world, world.natural, "ascent", weights)
        reached = corollary(world, down), float(down.norms[-1])
        found.append(Ratio(retain, *reached, retune(world, down.path[-1]), retune(world, up.path[-1])))
    return found


def corollary(world: World, trace: Trace) -> float:
    """The corollary's bound on ‖θ̃₀ − θ*‖: ‖P_V θ₀ − θ*‖ + the proposition's bound after T_u steps."""
    return float(np.linalg.norm(world.v(world.start - world.goal)) + trace.upper_all[-1])
