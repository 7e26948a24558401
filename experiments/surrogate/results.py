"""Everything the page needs, measured once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.surrogate import experiments, random_problems
from experiments.surrogate.experiments import Case, Ratio, Tilted
from experiments.surrogate.implication import Rivals, violated
from experiments.surrogate.random_problems import Outcome
from experiments.surrogate.readings import Reading, believed, readings
from experiments.surrogate.retune import Retuned, retune
from experiments.surrogate.unlearn import Trace
from experiments.surrogate.world import Shape, World

CURVATURES = np.geomspace(0.05, 1.0, 10)
"""Of the quadratic on which eq. 1 is tried with random starts: condition number 20."""
LENGTHS = (0, 1, 10, 100)
"""Fine-tuning steps after which eq. 1 is tried."""


@dataclass(frozen=True)
class Results:
    """Measured on the page's regression problem, its logistic twin, and many random problems."""

    regression: World
    logistic: World
    cases: list[Case]
    step_sizes: list[tuple[float, Trace]]
    tilts: list[Tilted]
    retunings: list[tuple[str, Retuned, Retuned]]
    quarter: Retuned
    """Retuning from the regression problem's θ₀ with α = 0.25/β."""
    dips: list[tuple[str, list[tuple[float, int]]]]
    """How near to 0 ascent on own labels passes, by the general data's spectrum on U."""
    ratios: list[Ratio]
    outcomes: list[Outcome]
    retuned: list[tuple[Retuned, Retuned]]
    rivals: Rivals
    shares: list[tuple[str, list[float]]]
    """How often eq. 1 is violated after each of `LENGTHS` steps."""
    readings: list[Reading]
    before: tuple[float, int]
    """The logistic θ₀: mean probability of the forget labels, steps of retuning."""


def measure() -> Results:
    """A few seconds on one core; the same numbers every time."""
    regression, logistic = experiments.regression(), experiments.logistic()
    flat = np.full(10, 0.3)
    on_u = np.concatenate([np.full(4, 0.01), CURVATURES[-6:]])
    tried = [
        ("anisotropic, curvatures 0.05 … 1, α = 1/β", [violated(CURVATURES, 1.0, k) for k in LENGTHS]),
        ("the same, α = 0.5/β", [violated(CURVATURES, 0.5, k) for k in LENGTHS]),
        ("isotropic", [violated(flat, 0.5, k) for k in LENGTHS]),
        (
            "anisotropic on V, ridge alone on U; starts differ on U alone",
            [violated(on_u, 0.5, k, only=4) for k in LENGTHS],
        ),
    ]
    return Results(
        regression=regression,
        logistic=logistic,
        cases=[*experiments.cases(regression), *experiments.cases(logistic)],
        step_sizes=experiments.step_sizes(regression),
        tilts=[experiments.tilted(tilt) for tilt in (0.0, 0.25, 0.5, 1.0)],
        retunings=experiments.retunings(regression),
        quarter=retune(regression, regression.start, part=random_problems.SLOW),
        dips=[
            ("0.2, 1, 0.5, 0.1, as on this page", experiments.dips(Shape().general_on_u)),
            ("1, 1, 1, 1", experiments.dips((1.0, 1.0, 1.0, 1.0))),
        ],
        ratios=experiments.ratios(regression),
        outcomes=random_problems.everywhere(random_problems.outcome, random_problems.PROBLEMS),
        retuned=random_problems.everywhere(random_problems.retuned, random_problems.RETUNED),
        rivals=Rivals(),
        shares=tried,
        readings=readings(logistic),
        before=(believed(logistic, logistic.start), retune(logistic, logistic.start).steps),
    )
