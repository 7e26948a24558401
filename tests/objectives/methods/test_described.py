"""What a method needs is read from its objective."""

from __future__ import annotations

import pytest

from forgetting.objectives.methods import METHODS, ga, register_method
from forgetting.objectives.methods.described import needs
from forgetting.objectives.objective import Objective


def test_a_method_with_required_keys_says_nothing_of_its_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @register_method("demanding")
    def demanding(share: float) -> Objective:
        return ga(share)

    assert needs("demanding") == ()
