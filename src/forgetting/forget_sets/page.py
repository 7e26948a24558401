"""The page of a built forget set: its sources, its overlaps, and its distance from the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.svg import element
from forgetting.report.template import style_sheet

_WIDTH, _HEIGHT = 560.0, 300.0
_HEAD = 74.0
"""Room above a histogram for the names of its groups, pixels."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def build_page(provenance: Mapping[str, Any]) -> str:
    """The page of a provenance, which runs no script and needs no network. All text is escaped."""
    css = Markup(style_sheet("report.css") + style_sheet("figures.css"))
    title = f"Forget set: {provenance['output']['file']}"
    head = element(
        "head",
        Markup('<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{}">').format(_POLICY),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", title),
        element("style", css),
    )
    body = element("body", element("main", *_parts(provenance, title)), class_="single-page")
    return str(Markup("<!doctype html>\n") + element("html", head, body, lang="en")) + "\n"


def _parts(provenance: Mapping[str, Any], title: str) -> list[Markup]:
    counts, settings = provenance["counts"], provenance["settings"]
    made = {"builder": provenance["builder"], **settings, "seed": provenance["seed"], **(provenance["embedder"] or {})}
    sources = [[s["role"], s["source"], s["sha256"][:16]] for s in provenance["sources"]]
    overlaps = [
        [
            f"{o['with']}: {o['source']}",
            wording.count(o["examples"]),
            wording.count(o["exact"]),
            wording.count(o["near"]),
        ]
        for o in provenance["overlaps"]
    ]
    figures = [element("figure", figure(one), class_="wide") for one in provenance["separation"]]
    words = " ".join(provenance["characteristic_words"])
    return [
        element("header", element("h1", element("bdi", title))),
        *_section("How far from the domain", *figures),
        *_section("Overlap", _table(["with", "examples", "exact", "near"], overlaps)),
        *_section("Counts", _table(["what", "how many"], [[wording.plain(k), _text(v)] for k, v in counts.items()])),
        *_section("Made by", _table(["setting", "value"], [[wording.plain(k), _text(v)] for k, v in made.items()])),
        *_section("Sources", _table(["role", "source", "SHA-256"], sources)),
        *(_section("Words that are characteristic of the domain", element("p", words)) if words else []),
    ]


def _section(title: str, *parts: Markup) -> list[Markup]:
    return [element("section", element("h2", title), *parts)]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    body = [element("tr", *(element("td", element("bdi", cell)) for cell in row)) for row in rows]
    table = element("table", element("thead", head), element("tbody", *body))
    return element("div", table, class_="scroll")


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return wording.ABSENT if value is None else str(value)
    return wording.count(value) if isinstance(value, int) else wording.number(value)


def figure(separation: Mapping[str, Any]) -> Markup:
    """The histograms of one measure, a stepped line per group, each in per cent of its own group."""
    edges, groups = separation["edges"], separation["counts"]
    shares = {name: [100 * n / sum(counts) for n in counts] for name, counts in groups.items()}
    most = max(max(values) for values in shares.values())
    frame = svg.Frame(
        _WIDTH,
        _HEIGHT,
        svg.Scale(edges[0], edges[-1], 52, _WIDTH - 14),
        svg.Scale(0.0, most * 1.05, _HEIGHT - 44, _HEAD),
    )
    parts = [frame.axes(separation["measure"], "% of its group")]
    for index, (name, values) in enumerate(shares.items()):
        parts.append(frame.line(_steps(edges, values), f"curve s{index} dash{index}"))
        parts += _key(index, f"{name} ({wording.count(sum(groups[name]))})")
    return frame.svg(parts, f"histograms of {separation['measure']} by group")


def _steps(edges: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """The outline of the bars, from the first to the last that is not empty."""
    held = [i for i, value in enumerate(values) if value]
    bars = range(held[0], held[-1] + 1)
    corners = [(edge, values[i]) for i in bars for edge in (edges[i], edges[i + 1])]
    return [(edges[bars[0]], 0.0), *corners, (edges[bars[-1] + 1], 0.0)]


def _key(index: int, name: str) -> list[Markup]:
    y = 14.0 + svg.LINE * 1.2 * index
    line = element("line", class_=f"curve s{index} dash{index}", x1=56.0, x2=90.0, y1=y - 4, y2=y - 4)
    return [line, element("text", name, class_=f"side s{index}", x=98.0, y=y)]
