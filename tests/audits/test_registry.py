"""Attacks are found by name, and one of one's own is registered by a decorator."""

from collections.abc import Sequence

import pytest

from forgetting.audits import ATTACKS, Attack, Target, as_attack, attacks_of, register_attack
from forgetting.core.errors import RecipeError
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


def test_sets_stand_for_attacks_and_names_for_themselves() -> None:
    assert attacks_of(["fast"]) == ["greedy", "form", "prompt", "context"]
    standard = attacks_of(["standard"])
    assert standard[:4] == attacks_of(["fast"])
    others = {"sample", "quantise", "relearn-kin", "relearn-benign", "membership", "layers", "near", "health"}
    assert others == set(standard[4:])
    assert set(standard) <= set(attacks_of(["all"])) == set(ATTACKS.names()) - {"suffix"}
    assert attacks_of(["fast", "suffix"])[-1] == "suffix"  # it takes hours, and is only run by its name
    assert attacks_of(["sample", "fast", "form"]) == ["sample", *attacks_of(["fast"])]
    with pytest.raises(RecipeError, match="unknown attack 'standart'; did you mean 'standard'"):
        attacks_of(["standart"])


def test_a_plain_function_gets_the_defaults() -> None:
    def run(target: Target) -> Sequence[Record]:
        return []

    attack = as_attack(run)
    assert attack.run is run and attack.leaks == ("leak", "probability")
    assert attack.splits == ("forget", "retain", "holdout") and as_attack(attack) is attack
