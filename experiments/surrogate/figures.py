"""The page's figures as self-contained SVG files, light or dark like the reader's system."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from experiments.surrogate.results import Results
from experiments.surrogate.risks import Array
from forgetting.report.drawing import svg

_STYLE = """
svg { --paper: #fdfdfc; --ink: #1b1d22; --soft: #5c616b; --line: #e2e2dd; --strong: #c9c9c2;
  --c0: #2b6cb0; --c1: #c8570f; --c2: #17806d; --c3: #8a4fbe; --c4: #b7375f; --c5: #6d6a14; }
@media (prefers-color-scheme: dark) { svg { --paper: #15171b; --ink: #e7e7e4; --soft: #a0a5ae; --line: #2d3138;
  --strong: #454a53; --c0: #6fa8e8; --c1: #f0935a; --c2: #52c4ab; --c3: #bd92ea; --c4: #ee7fa0; --c5: #c6c257; } }
.s0 { --c: var(--c0) } .s1 { --c: var(--c1) } .s2 { --c: var(--c2) } .s3 { --c: var(--c3) } .s4 { --c: var(--c4) }
.s5 { --c: var(--c5) }
text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  fill: var(--soft) }
.paper { fill: var(--paper) } .tick { font-size: 11.5px } .title { font-size: 12.5px }
.hint { font-size: 11.5px; font-style: italic } .end { font-size: 12.5px; fill: var(--c) }
.grid { stroke: var(--line) } .axis, .mark { stroke: var(--strong) }
.level { stroke: var(--soft); stroke-dasharray: 5 4 }
.curve { stroke: var(--c); stroke-width: 1.9; stroke-linejoin: round } .dash { stroke-dasharray: 6 3 }
"""
_WIDTH, _HEIGHT = 820.0, 340.0

Curve = tuple[str, Sequence[tuple[float, float]], str]
"""Name, points, style."""


def figures(results: Results) -> dict[str, str]:
    """File names and contents."""
    return {
        "contraction.svg": _contraction(results),
        "ratio.svg": _ratio(results),
        "implication.svg": _implication(results),
        "readings.svg": _readings(results),
    }


def _contraction(results: Results) -> str:
    """Four cases of the regression problem and the proposition's bound."""
    curves: list[Curve] = []
    for index, case in enumerate(c for c in results.cases if c.world.kind == "regression"):
        name = f"{case.direction}, {'neutral' if 'neutral' in case.minimum else 'own labels'}"
        curves.append((name, _numbered(case.trace.norms), f"s{index}"))
    first = results.cases[0].trace
    curves.insert(0, ("the paper's bound", _numbered(first.upper_all), "s0 dash"))
    title = "The part of the weights in U over unlearning steps, for both signs and both forget risks"
    level = float(first.norms[0]), "start"
    return _drawn(curves, ("unlearning step", "‖P_U θ‖, log scale"), title, level=level)


def _ratio(results: Results) -> str:
    """What the corollary bounds and what is, over σ/λ."""
    points = [one for one in results.ratios if one.retain > 0]
    curves: list[Curve] = [
        ("bound, descent", [(1 / one.retain, one.bound) for one in points], "s0 dash"),
        ("distance, descent", [(1 / one.retain, one.descended.distance) for one in points], "s0"),
        ("distance, ascent", [(1 / one.retain, one.ascended.distance) for one in points], "s1"),
    ]
    title = "Distance to the domain's minimum after unlearning, over λ/σ"
    return _drawn(curves, ("λ/σ, log scale", "‖θ̃₀ − θ*‖, log scale"), title, log_x=True)


def _implication(results: Results) -> str:
    """The closed counter-example."""
    steps = range(11)
    curves: list[Curve] = [
        ("closer start", [(float(k), results.rivals.closer(k)) for k in steps], "s0"),
        ("farther start", [(float(k), results.rivals.farther(k)) for k in steps], "s1"),
    ]
    title = "Domain loss of a closer and a farther start over fine-tuning steps"
    return _drawn(curves, ("fine-tuning step", ""), title)


def _readings(results: Results) -> str:
    """Ways to forget, from one logistic model."""
    curves: list[Curve] = []
    for index, one in enumerate(results.readings):
        norms = one.trace.norms / one.trace.norms[0]
        kept = np.unique(np.geomspace(1, len(norms) - 1, 120).astype(int))
        inside = [(float(t), float(norms[t])) for t in kept if norms[t] <= 300]
        curves.append((one.name.removeprefix("descent to the ").removeprefix("bounded: "), inside, f"s{index}"))
    title = "The part of the weights in U relative to its start, for six ways to forget"
    axes = "unlearning step, log scale", "‖P_U θ‖ ÷ start, log scale"
    return _drawn(curves, axes, title, log_x=True, level=(1.0, "start"))


def _drawn(
    curves: Sequence[Curve],
    titles: tuple[str, str],
    name: str,
    *,
    log_x: bool = False,
    level: tuple[float, str] | None = None,
) -> str:
    xs, ys = ([point[i] for _, points, _ in curves for point in points] for i in (0, 1))
    room = 16 + svg.LETTER * max(len(label) for label, _, _ in curves)
    frame = svg.Frame.of(
        _WIDTH, _HEIGHT, (min(xs), max(xs)), (min(ys) / 1.5, max(ys) * 1.5), right=room, log_x=log_x, log_y=True
    )
    parts = [
        svg.element("style", Markup(_STYLE)),
        svg.element("rect", class_="paper", width="100%", height="100%"),
        frame.axes(*titles),
    ]
    if level:
        parts.append(frame.level(*level))
    parts += [frame.line(points, f"curve {style}") for _, points, style in curves]
    taken = [frame.y(level[0]) + 4] if level else []
    for label, points, style in sorted(curves, key=lambda curve: -curve[1][-1][1]):
        place = _free(frame.y(points[-1][1]) + 4, taken)
        taken.append(place)
        parts.append(svg.element("text", label, class_=f"end {style.split()[0]}", x=frame.x.end + 6, y=place))
    return str(frame.svg(parts, name)) + "\n"


def _free(wanted: float, taken: Sequence[float]) -> float:
    """The base line nearest to `wanted` that meets no other label."""
    near = (wanted + side * shift for shift in range(200) for side in (-1.0, 1.0))
    return next(place for place in near if all(abs(place - other) >= svg.LINE for other in taken))


def _numbered(values: Array) -> list[tuple[float, float]]:
    return [(float(t), float(v)) for t, v in enumerate(values)]
