"""The section on what changed inside: sentences only where intervals bear them, a figure for each series of runs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.report.run.inside import _figures, sentences
from forgetting.runs.audits import Analysed


def measures(**values: tuple[float, float, float] | None) -> dict[str, Measure]:
    found = {}
    for name, ends in values.items():
        value, low, high = ends or (None, None, None)
        found[f"forget/{name}"] = Measure(name=name, split="forget", value=value, count=9, low=low, high=high)
    return found


def test_a_change_is_said_where_its_interval_leaves_0() -> None:
    (said,) = sentences("forgottenness", measures(delta_nll=(3.0, 2.0, 4.0)))
    assert said.startswith("Forget is less likely than before: ΔNLL 3")
    assert "more likely" in sentences("forgottenness", measures(delta_nll=(-3.0, -4.0, -2.0)))[0]
    assert sentences("forgottenness", measures(delta_nll=(0.5, -0.1, 1.1))) == []
    assert sentences("forgottenness", measures(delta_nll=None)) == []


@pytest.mark.parametrize(("analysis", "name"), [("lens", "hidden"), ("probe", "probe")])
def test_hidden_knowledge_is_said_only_above_the_oracle(analysis: str, name: str) -> None:
    above = {f"{name}_after": (0.9, 0.8, 1.0), f"{name}_oracle": (0.5, 0.4, 0.6)}
    assert len(sentences(analysis, measures(**above))) == 1
    assert sentences(analysis, measures(**{**above, f"{name}_oracle": (0.7, 0.6, 0.85)})) == []
    assert sentences(analysis, measures(**{f"{name}_after": (0.9, 0.8, 1.0)})) == []


def test_the_model_that_changes_are_counted_from_is_named() -> None:
    """Beside the oracle, text "became" likelier and representations differed "from those before"."""
    ceiling = Measure(name="cka_ceiling", split="forget", value=0.8, count=9)
    alike = {**measures(cka=(0.5, 0.4, 0.6)), "forget/cka_ceiling": ceiling}
    assert "differ from those in the oracle (CKA" in sentences("geometry", alike, "oracle")[0]
    (said,) = sentences("forgottenness", measures(delta_nll=(-3.0, -4.0, -2.0)), "stage:first")
    assert said.startswith("Forget is more likely than in stage:first: ")


def test_nothing_is_said_of_a_few_examples_nor_of_a_change_that_is_rounding() -> None:
    found = measures(delta_nll=(3.0, 2.0, 4.0), hidden_after=(0.9, 0.8, 1.0), hidden_oracle=(0.5, 0.4, 0.6))
    for analysis in ("forgottenness", "lens"):
        for count, said in ((5, 0), (6, 1)):
            assert len(sentences(analysis, {key: replace(m, count=count) for key, m in found.items()})) == said
    assert sentences("forgottenness", measures(delta_nll=(3e-6, 1e-6, 5e-6))) == []


def test_representations_differ_only_below_two_readings_of_one_model() -> None:
    ceiling = Measure(name="cka_ceiling", split="forget", value=0.8, count=9)
    low = {**measures(cka=(0.5, 0.4, 0.6)), "forget/cka_ceiling": ceiling}
    assert "by more than two readings of one model do (0.8" in sentences("geometry", low)[0]
    near = {**measures(cka=(0.75, 0.6, 0.9)), "forget/cka_ceiling": ceiling}
    assert sentences("geometry", near) == []


def test_changed_features_are_said_where_there_are_any() -> None:
    def counted(changed: float) -> dict[str, Measure]:
        return {
            f"forget/{name}": Measure(name=name, split="forget", value=value, count=40)
            for name, value in (("features_tested", 31.0), ("features_changed", changed))
        }

    assert sentences("sae", counted(7.0))[0].startswith("Forget: of 31 features that could be tested, 7 are active")
    assert "fewer tokens than in the oracle (" in sentences("sae", counted(7.0), "oracle")[0]
    assert sentences("sae", counted(0.0)) == []


def test_an_analysis_without_rules_says_nothing() -> None:
    assert sentences("weights", measures(relative_change=(0.1, 0.1, 0.1))) == []


def analysed(**lines: tuple[float, ...]) -> Analysed:
    axes = {"figure": "lens", "x_label": "layer", "y_label": "log p"}
    series = [
        Series(name=name.replace("_", ", "), x=tuple(map(float, range(len(y)))), y=y, **axes)
        for name, y in lines.items()
    ]
    return Analysed(analysis="lens", key="k", series=tuple(series))


def test_several_runs_have_one_figure_a_role_in_which_what_they_share_stands_once() -> None:
    runs = {
        0: analysed(forget_start=(1.0, 2.0), forget_after=(1.0, 0.0), retain_start=(3.0, 3.0), retain_after=(3.0, 2.0)),
        1: analysed(forget_start=(1.0, 2.0), forget_after=(1.0, 1.0), retain_start=(3.0, 4.0), retain_after=(3.0, 1.0)),
    }
    forget, retain = _figures(runs, ["one", "two"])
    assert (forget.title, retain.title) == ("Log p: forget", "Log p: retain")
    assert [label for _, label in forget.legend] == ["one", "two", "start"]
    assert [label for _, label in retain.legend] == ["one", "two", "one, start", "two, start"]
    looks = [re.search(r"s\d+ dash\d", key)[0] for key, _ in retain.legend]  # type: ignore[index]
    assert looks == ["s0 dash0", "s1 dash0", "s0 dash1", "s1 dash1"]
    (alone,) = _figures({0: runs[0]}, ["one"])
    assert [label for _, label in alone.legend] == ["forget, start", "forget, after", "retain, start", "retain, after"]
