"""The page of a forget set: its histograms are the counts that were given, and foreign text stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from forgetting.forget_sets.page import build_page, figure

SEPARATION = {
    "measure": "cosine to the domain",
    "edges": [0.0, 0.25, 0.5, 0.75, 1.0],
    "counts": {"chosen": [0, 6, 2, 0], "not chosen": [10, 0, 25, 5]},
}


def provenance(**keys: Any) -> dict[str, Any]:
    return {
        "builder": "cosine",
        "settings": {"share": 0.25, "review": None},
        "seed": 3,
        "embedder": {"name": "org/embedder"},
        "sources": [{"role": "general", "source": "corpus.jsonl", "sha256": "0123456789abcdef0123"}],
        "counts": {"read": 12345, "chosen": 8},
        "overlaps": [{"with": "domain", "source": "law.jsonl", "examples": 40, "exact": 2, "near": 3}],
        "characteristic_words": ["court", "appeal"],
        "separation": [SEPARATION],
        "output": {"file": "set.jsonl"},
        **keys,
    }


class Page(HTMLParser):
    """The tags of a page, and the cells of its tables by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.inside:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")


def outlines(markup: str) -> list[list[tuple[float, float]]]:
    """The corners of each histogram in edges and per cent, read off the drawing by its own axes."""
    page = Page(markup)
    texts = iter(page.texts)
    ticks: list[tuple[float, float, float]] = []
    for tag, at in page.tags:
        if tag == "text":
            said = next(texts)
            if at.get("class") == "tick":
                ticks.append((float(said), float(at["x"] or 0), float(at["y"] or 0)))
    of_y = [(value, y - 4) for value, x, y in ticks if x == pytest.approx(45)]
    of_x = [(value, x) for value, x, _ in ticks if x != pytest.approx(45)]

    def inverse(known: list[tuple[float, float]], at: float) -> float:
        (low, start), (high, end) = known[0], known[-1]
        return low + (at - start) / (end - start) * (high - low)

    lines = [at["points"] or "" for tag, at in page.tags if tag == "polyline"]
    return [
        [(inverse(of_x, float(x)), inverse(of_y, float(y))) for x, y in (pair.split(",") for pair in line.split())]
        for line in lines
    ]


def test_a_histogram_is_each_groups_counts_in_per_cent_of_the_group() -> None:
    first, second = outlines(figure(SEPARATION))
    assert first == [
        pytest.approx(corner, abs=0.3)
        for corner in [(0.25, 0), (0.25, 75), (0.5, 75), (0.5, 25), (0.75, 25), (0.75, 0)]
    ]
    assert second == [
        pytest.approx(corner, abs=0.3)
        for corner in zip(
            (0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1), (0, 25, 25, 0, 0, 62.5, 62.5, 12.5, 12.5, 0), strict=True
        )
    ]
    assert "chosen (8)" in figure(SEPARATION) and "not chosen (40)" in figure(SEPARATION)


def test_the_tables_hold_what_the_provenance_says() -> None:
    rows = Page(build_page(provenance())).rows
    for expected in (
        ["domain: law.jsonl", "40", "2", "3"],
        ["general", "corpus.jsonl", "0123456789abcdef"],
        ["builder", "cosine"],
        ["share", "0.250"],
        ["review", "—"],
        ["seed", "3"],
        ["name", "org/embedder"],
        ["chosen", "8"],
    ):
        assert expected in rows
    assert "court appeal" in build_page(provenance())
    assert "characteristic" not in build_page(provenance(characteristic_words=[]))


def test_foreign_text_stays_text_and_the_page_forbids_scripts() -> None:
    evil = "<script>alert(1)</script>"
    separation = {**SEPARATION, "measure": evil, "counts": {evil: [1, 0, 0, 1]}}
    made = build_page(
        provenance(
            sources=[{"role": "general", "source": evil, "sha256": evil}],
            counts={evil: evil},
            characteristic_words=[evil],
            separation=[separation],
            output={"file": evil},
        )
    )
    tags = Page(made).tags
    assert "script" not in {tag for tag, _ in tags} and made.count("&lt;script&gt;") >= 7
    policy = next(at["content"] for tag, at in tags if at.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy
    assert not re.search(r'(?:href|src)="http', made)
