"""Attacks are found by name, and one of one's own is registered by a decorator."""

from collections.abc import Sequence

import pytest

from forgetting.audits import ATTACKS, Attack, Target, register_attack
from forgetting.core.record import Record


def test_the_packages_own_are_there_with_a_summary() -> None:
    assert {"context", "sample"} <= set(ATTACKS.names())
    assert all(entry.summary for entry in ATTACKS.entries())
    assert ATTACKS.get("sample").parameters["n"].default == 32


def test_a_decorated_function_is_an_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))

    @register_attack("silent")
    def silent(times: int = 1) -> Attack:
        """Asks nothing."""

        def attack(target: Target) -> Sequence[Record]:
            return []

        return attack

    assert ATTACKS.build("silent", {"times": 2}) is not None
    assert ATTACKS.get("silent").summary == "Asks nothing."
