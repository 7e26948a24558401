"""A figure of a page as an SVG file of its own: with its title, its legend, and colours that need no page.

The page's style sheet uses variables, which most programs that turn SVG into PDF do not know: they are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import COLOURS
from forgetting.report.drawing.svg import size_of
from forgetting.report.template import style_sheet

_HEAD, _ROW, _EDGE = 30.0, 20.0, 10.0
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_VARIABLE = re.compile(r"var\((--\w+)(?:, (var\(--\w+\)))?\)")
_LETTERS = 7.4
"""Assumed width of a letter of a legend, pixels."""


def standalone(title: str, figure: Markup, legend: Sequence[tuple[Markup, str]] = ()) -> str:
    """The text of an SVG file, in the light dress of the page: title, figure, a line for each entry of the legend."""
    width, height = size_of(figure)
    title, legend = wording.shortened(title, 120), [(mark, wording.shortened(text, 80)) for mark, text in legend]
    parts = [
        svg.element("style", Markup(figure_style())),
        svg.element("rect", class_="paper", x=0, y=0, width="100%", height="100%"),
        svg.element("text", title, class_="end heading", x=_EDGE, y=_HEAD - 10),
        svg.element("g", figure, transform=f"translate(0 {_HEAD:g})"),
    ]
    for row, (mark, text) in enumerate(legend):
        y = _HEAD + height + 6 + row * _ROW
        parts.append(svg.element("g", mark, transform=f"translate({_EDGE:g} {y:g})"))
        parts.append(svg.element("text", text, class_="end", x=_EDGE + 24, y=y + 12.5))
    longest = max([len(title), *(len(text) + 4 for _, text in legend)])
    width = max(width, _LETTERS * longest + 2 * _EDGE)
    height = _HEAD + height + _EDGE + _ROW * len(legend)
    return f"{svg.finished(parts, width, height, title)}\n"


def figure_style() -> str:
    """The rules for figures without variables: a rule in a run's colour is written out for each of the eight."""
    root = re.search(r":root \{(.*?)\}", style_sheet("report.css"), flags=re.DOTALL)
    palette = dict(re.findall(r"(--\w+): ([^;]+);", root[1] if root else ""))
    rules = [".paper { fill: var(--paper) }", ".heading { font-weight: 600 }"]
    for selector, body in _RULE.findall(style_sheet("figures.css")):
        rules.append(f"{selector.strip()} {{ {body.strip()} }}")
        if "var(--c)" in body or "var(--c," in body:
            for i in range(COLOURS):
                own = body.replace("var(--c)", f"var(--c{i})").replace("var(--c,", f"var(--c{i},")
                rules.append(f"{selector.strip()}.s{i} {{ {own.strip()} }}")
    return "\n".join(_filled(rule, palette) for rule in rules)


def _filled(rule: str, palette: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return palette.get(found[1]) or _filled(found[2] or "var(--ink)", palette)

    return _VARIABLE.sub(value, rule)
