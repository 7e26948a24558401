"""What a shell completes: names of the files that the package brings, read without loading what is in them."""

from __future__ import annotations

from pathlib import Path

BUILT_IN = Path(__file__).parents[1]


def recipe_names(incomplete: str) -> list[str]:
    """The built-in recipes that begin so; where there are none, a shell goes on with files."""
    return _names("recipes", incomplete)


def sweep_names(incomplete: str) -> list[str]:
    """The built-in sweeps that begin so."""
    return _names("sweeps", incomplete)


def _names(folder: str, incomplete: str) -> list[str]:
    return sorted(f.stem for f in (BUILT_IN / folder).glob("*.yaml") if f.stem.startswith(incomplete))
