"""`python -m experiments.surrogate`: measures everything and writes docs/theory.md's tables and figures."""

from __future__ import annotations

from experiments.surrogate.page import FIGURES, PAGE, ROOT, parts, write
from experiments.surrogate.results import measure


def main() -> None:
    """A few seconds; running it twice writes the same bytes."""
    page = PAGE.read_text()
    parts(page)  # marks that are missing are told before anything is measured
    write(page, measure())
    print(f"wrote the tables of {PAGE.relative_to(ROOT)} and the figures in {FIGURES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
