"""The page of methods is the one that they give now, and every rule and transform says when to use it."""

from __future__ import annotations

import inspect
from pathlib import Path

from forgetting.models.transforms import TRANSFORMS
from forgetting.objectives.gradient_rules import GRADIENT_RULES
from forgetting.objectives.methods import METHODS
from forgetting.recipe.described import default_rate, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods.md"


def test_the_page_is_the_generated_one() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run: python -m forgetting.recipe.described > docs/methods.md"


def test_whatever_the_package_brings_says_when_to_use_it_and_stands_on_the_page() -> None:
    text = page()
    for registry in (METHODS, GRADIENT_RULES, TRANSFORMS):
        for entry in registry.entries():
            assert entry.source != "forgetting" or (entry.settings["when"] and f"| `{entry.name}` |" in text)
    assert default_rate() in text


def test_no_method_takes_more_than_80_lines() -> None:
    files = {
        entry.name: Path(inspect.getfile(entry.build)) for entry in METHODS.entries() if entry.source == "forgetting"
    }
    assert {name for name, file in files.items() if len(file.read_text(encoding="utf-8").splitlines()) > 80} == set()
    assert len(files) > 20
