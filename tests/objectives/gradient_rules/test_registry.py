"""Gradient rules are found by name, and a stage names one for any method."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules import GRADIENT_RULES, build_gradient_rule, register_gradient_rule
from forgetting.objectives.gradient_rules.balanced import Balanced
from forgetting.objectives.gradient_rules.rectified import Rectified
from forgetting.objectives.gradient_rules.rule import Sum
from forgetting.objectives.methods import build_method
from forgetting.recipe import Stage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    entries = dict(GRADIENT_RULES._entries)
    yield
    GRADIENT_RULES._entries = entries


def test_the_package_s_rules_are_there_with_a_summary() -> None:
    assert {"balanced", "rectified", "sum"} <= set(GRADIENT_RULES.names())
    assert GRADIENT_RULES.group == "forgetting.gradient_rules"
    assert all(entry.summary for entry in GRADIENT_RULES.entries())


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="unknown gradient rule 'rectifed'; did you mean 'rectified'"):
        build_gradient_rule("rectifed")
    with pytest.raises(RecipeError, match="gradient rule 'balanced' has no parameter 'shares'; did you mean 'share'"):
        build_gradient_rule("balanced", {"shares": 1})


def test_what_is_no_rule_is_refused() -> None:
    register_gradient_rule("nothing")(lambda: 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(RecipeError, match="gradient rule 'nothing' of tests gives int, not a GradientRule"):
        build_gradient_rule("nothing")


def test_a_stage_names_a_rule_for_any_method_and_builds_it_anew() -> None:
    stage = Stage(method="npo", gradients={"name": "rectified", "gamma": 0.9})
    first, second = stage.objective(), stage.objective()
    assert isinstance(first.gradients, Rectified) and first.gradients.gamma == 0.9
    assert first.gradients is not second.gradients and first.parts == (("forget",), ("retain",))
    assert isinstance(Stage(method="npo", gradients="balanced").objective().gradients, Balanced)
    assert isinstance(Stage(method="npo").objective().gradients, Sum)


def test_a_method_names_one_itself_and_the_stage_stands_over_it() -> None:
    own = build_method("gru").gradients
    assert isinstance(own, Rectified) and (own.gamma, own.add_retain) == (0.8, False)
    assert isinstance(Stage(method="gru", gradients="sum").objective().gradients, Sum)
    with pytest.raises(RecipeError, match="gru: retain is 'none'; the rule needs a retain loss"):
        build_method("gru", {"retain": "none"})


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ("rectifed", "unknown gradient rule 'rectifed'"),
        ({"gamma": 0.9}, "gradients: give the rule's name"),
        (
            "rectified",
            "rectified weighs the forget terms against the others, and the method reads train only",
        ),
    ],
)
def test_a_key_without_meaning_is_refused(gradients: object, message: str) -> None:
    with pytest.raises((RecipeError, ValueError), match=message):
        Stage(method="sft", gradients=gradients)  # type: ignore[arg-type]
