"""The page's measured parts: text between `<!-- NAME -->` and `<!-- /NAME -->`, and the figures beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from experiments.surrogate import claims, figures, tables
from experiments.surrogate.results import Results

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "theory.md"
FIGURES = ROOT / "docs" / "theory"
PARTS: dict[str, Callable[[Results], str]] = {
    "claims": claims.claims,
    "problems": tables.problems,
    "cases": tables.cases,
    "dips": tables.dips,
    "step_sizes": tables.step_sizes,
    "tilts": tables.tilts,
    "retunings": tables.retunings,
    "ratios": tables.ratios,
    "rivals": tables.rivals,
    "shares": tables.shares,
    "readings": tables.readings,
}
_PART = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


def parts(page: str) -> dict[str, str]:
    """What a page says between its marks.

    Raises:
        ValueError: the page lacks the marks of a part, or has marks of an unknown one.
    """
    found = dict(_PART.findall(page))
    if odd := set(found) ^ set(PARTS):
        raise ValueError(f"docs/theory.md and page.py differ in the parts {', '.join(sorted(odd))}")
    return found


def filled(page: str, results: Results) -> str:
    """The page with its parts as measured."""
    return _PART.sub(lambda match: f"<!-- {match[1]} -->\n{PARTS[match[1]](results)}\n<!-- /{match[1]} -->", page)


def write(page: str, results: Results) -> None:
    """Writes docs/theory.md, whose text so far is `page`, and docs/theory/*.svg."""
    PAGE.write_text(filled(page, results))
    FIGURES.mkdir(exist_ok=True)
    for name, drawing in figures.figures(results).items():
        (FIGURES / name).write_text(drawing)
