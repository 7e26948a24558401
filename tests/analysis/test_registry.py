"""Analyses are found by name, and one of one's own is registered by a decorator."""

import pytest

from forgetting.analysis import ANALYSES, Analysis, Compared, Findings, register_analysis


def test_the_packages_own_are_there_with_a_summary() -> None:
    assert {"shifts", "states", "weights"} <= set(ANALYSES.names())
    assert all(entry.summary for entry in ANALYSES.entries())


def test_a_decorated_function_is_an_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ANALYSES, "_entries", dict(ANALYSES._entries))

    @register_analysis("nothing")
    def nothing() -> Analysis:
        """Finds nothing."""

        def analysis(compared: Compared) -> Findings:
            return Findings(measures=())

        return analysis

    assert ANALYSES.build("nothing") is not None
    assert ANALYSES.get("nothing").summary == "Finds nothing."
