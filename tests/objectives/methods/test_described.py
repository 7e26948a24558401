"""The page of methods is the one that they give now."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.objectives.methods import METHODS, ga, register_method
from forgetting.objectives.methods.described import needs, page
from forgetting.objectives.objective import Objective

PAGE = Path(__file__).resolve().parents[3] / "docs" / "methods.md"


def test_the_page_is_the_generated_one() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), (
        "run: python -m forgetting.objectives.methods.described > docs/methods.md"
    )


def test_a_method_with_required_keys_says_nothing_of_its_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @register_method("demanding")
    def demanding(share: float) -> Objective:
        return ga(share)

    assert needs("demanding") == ()
