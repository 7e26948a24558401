"""The page's tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from experiments.surrogate.experiments import PAPER
from experiments.surrogate.results import LENGTHS, Results
from experiments.surrogate.retune import EPSILON
from forgetting.report import wording


def number(value: float) -> str:
    """Three significant digits, thousands as everywhere in docs/."""
    return wording.number(value).replace("\u202f", ",")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def yes(holds: bool) -> str:
    """The word for whether a bound held at every step."""
    return "holds" if holds else "**fails**"


def problems(results: Results) -> str:
    """The constants of the two problems."""
    rows = []
    for world, name in ((results.regression, "regression"), (results.logistic, "logistic")):
        sizes = (_size(world.u(world.start)), _size(world.v(world.start - world.goal)), _size(world.u(world.goal)))
        curved = (
            world.strong(world.neutral),
            world.smooth(world.neutral),
            world.domain.ridge,
            world.smooth(world.domain),
        )
        shown = [f"{sizes[2]:.0f}" if sizes[2] < 1e-9 else number(sizes[2])]
        rows.append([name, *(number(v) for v in curved), *(number(v) for v in sizes[:2]), *shown])
    return table(
        ["problem", "μ_F on U", "β of L_F", "μ of L_D", "β of L_D", "‖P_U θ₀‖", "‖P_V θ₀ − θ*‖", "‖P_U θ*‖"], rows
    )


def cases(results: Results) -> str:
    """Sign × where the minimum is."""
    rows = []
    for case in results.cases:
        norms, best = case.trace.norms, int(case.trace.norms.argmin())
        grew = case.trace.shortfall() <= 1 + 1e-9
        rows.append(
            [
                case.world.kind,
                case.minimum,
                case.direction,
                number(float(norms[0])),
                f"{number(float(norms[best]))} at step {best}",
                number(float(norms[-1])),
                f"{yes(case.trace.excess() <= 1)}, {number(case.trace.excess())}",
                f"{yes(grew)}, {number(case.trace.shortfall())}" if case.direction == "ascent" else "",
            ]
        )
    head = ["problem", "minimum of L_F on U", "sign", "‖P_U θ₀‖", "least", f"after {PAPER.steps} steps"]
    return table([*head, "bound (1): largest part used", "bound (2): largest part used"], rows)


def dips(results: Results) -> str:
    """How near to 0 ascent on own labels passes."""
    rows = []
    for name, found in results.dips:
        least, steps = np.array([share for share, _ in found]), [step for _, step in found]
        spread = f"{number(float(np.median(least)))} ({number(float(least.min()))} to {number(float(least.max()))})"
        rows.append([name, str(len(found)), spread, f"{min(steps)} to {max(steps)}"])
    return table(["general data's spectrum on U", "problems", "least ‖P_U θ‖ ÷ start, median (range)", "at step"], rows)


def step_sizes(results: Results) -> str:
    """η = 1/β and growing λ."""
    mu, beta = (
        results.regression.strong(results.regression.neutral),
        results.regression.smooth(results.regression.neutral),
    )
    rows = [
        [
            number(product * beta / (beta + mu)),
            number(product),
            number(trace.excess()),
            number(float(trace.norms[-1] / trace.norms[0])),
            yes(trace.excess() <= 1),
        ]
        for product, trace in results.step_sizes
    ]
    return table(["ηλβ", "ηλ(β + μ_F)", "largest ‖P_U θ⁺‖ ÷ bound (1)", "‖P_U θ_T‖ ÷ ‖P_U θ₀‖", "bound (1)"], rows)


def tilts(results: Results) -> str:
    """A forget risk that is not separable."""
    rows = [
        [
            number(one.tilt),
            number(float(one.trace.norms[0])),
            number(float(one.trace.norms[-1])),
            f"{number(one.trace.excess())}, {yes(one.trace.excess() <= 1)}",
            f"{number(one.trace.excess_all())}, {yes(one.trace.excess_all() <= 1)}",
            f"{number(one.mended)}, {yes(one.mended <= 1)}",
        ]
        for one in results.tilts
    ]
    head = ["size of the part in V", "‖P_U θ₀‖", f"‖P_U θ‖ after {PAPER.steps}", "one step ÷ bound (1)"]
    return table([*head, "all steps ÷ the bound after T_u", "one step ÷ (bound (1) + ηλ‖H_UV P_V θ‖)"], rows)


def retunings(results: Results) -> str:
    """Retuning from every start."""
    rows = [
        [
            name,
            number(short.distance),
            number(short.before),
            f"{short.steps:,}",
            number(short.printed),
            number(short.after),
            number(long.after),
        ]
        for name, short, long in results.retunings
    ]
    head = ["start", "‖θ̃₀ − θ*‖", "gap at the start", f"steps to ε = {number(EPSILON)}", "(β/μ)·log(gap/ε)"]
    return table([*head, "gap after 50", "gap after 500"], rows)


def ratios(results: Results) -> str:
    """λ = 1, σ falling."""
    rows = [
        [
            "∞" if one.retain == 0 else number(1 / one.retain),
            number(one.bound),
            number(one.on_u),
            number(one.descended.distance),
            f"{one.descended.steps:,}",
            number(one.ascended.distance),
            f"{one.ascended.steps:,}",
        ]
        for one in results.ratios
    ]
    head = ["λ/σ", "corollary's bound", "‖P_U θ̃₀‖, descent", "‖θ̃₀ − θ*‖, descent", "its steps to ε"]
    return table([*head, "‖θ̃₀ − θ*‖, ascent", "its steps to ε"], rows)


def rivals(results: Results) -> str:
    """The closed counter-example step by step."""
    one = results.rivals
    rows = []
    for k in range(one.turn() + 3):
        closer, farther = one.descended(k)
        equal = np.allclose((closer, farther), (one.closer(k), one.farther(k)), rtol=1e-12, atol=0)
        lower = "the closer" if closer < farther else "the farther"
        rows.append([str(k), number(closer), number(farther), lower, "yes" if equal else "**no**"])
    return table(["steps k", "L_D, closer start", "L_D, farther start", "lower", "equals the formula"], rows)


def shares(results: Results) -> str:
    """How often eq. 1 fails for random pairs."""
    rows = [[name, *(f"{100 * share:.1f}%" for share in found)] for name, found in results.shares]
    return table(["domain risk", *(f"k = {k}" for k in LENGTHS)], rows)


def readings(results: Results) -> str:
    """Ways to forget."""
    rows = [
        [
            one.name,
            number(one.step),
            f"{number(float(one.trace.norms[one.best] / one.trace.norms[0]))} at step {one.best}",
            f"{one.good:,}",
            *(number(float(one.trace.norms[t] / one.trace.norms[0])) for t in (100, len(one.trace.norms) - 1)),
            *(f"{p:.2f}" for p in one.believed),
            *(f"{steps:,}" for steps in one.retuned),
        ]
        for one in results.readings
    ]
    last = len(results.readings[0].trace.norms) - 1
    head = ["way", "η", "least ‖P_U θ‖ ÷ start", f"steps of {last:,} at half or less", "÷ start after 100"]
    head += [
        f"after {last:,}",
        "p(forget label), best",
        f"after {last:,}",
        "steps of retuning, from best",
        f"from {last:,}",
    ]
    start = ["θ₀, nothing forgotten", "", "1", "", "1", "1", f"{results.before[0]:.2f}", f"{results.before[0]:.2f}"]
    return table(head, [[*start, str(results.before[1]), str(results.before[1])], *rows])


def _size(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))
