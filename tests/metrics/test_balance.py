from functools import partial

import pytest

from forgetting.core.declaration import Balance
from forgetting.core.measure import Measure
from forgetting.metrics import balance as module

OF = Balance(forget="forget/probability", retain="retain/probability", utility="utility/exact_match")
balance = partial(module.balance, of=OF)


def measures(forget=None, retain=None, utility=None):
    keys = {"forget/probability": forget, "retain/probability": retain, "utility/exact_match": utility}
    return [
        Measure(name=key.split("/")[1], split=key.split("/")[0], value=value, count=10 if key.startswith("f") else 20)
        for key, value in keys.items()
    ]


BEFORE = measures(0.9, 0.8, 0.5)
ORACLE = measures(0.1, 0.8, 0.5)


def test_balance_by_hand():
    found = balance(measures(0.3, 0.6, 0.4), BEFORE, ORACLE)
    # forgotten 1 - 0.2/0.8 = 0.75, retain kept 0.6/0.8 = 0.75, utility kept 0.4/0.5 = 0.8
    assert found.key == "all/balance"
    assert found.value == pytest.approx(3 / (2 / 0.75 + 1 / 0.8))
    assert (found.count, found.direction) == (10, "up")
    for words in (
        "forgotten 0.75",
        "forget/probability",
        "kept 0.75 (retain/probability",
        "kept 0.8 (utility/exact_match",
    ):
        assert words in found.meaning


def test_the_oracle_is_perfect_and_the_untouched_model_is_0():
    assert balance(ORACLE, BEFORE, ORACLE).value == pytest.approx(1.0)
    assert balance(BEFORE, BEFORE, ORACLE).value == 0.0


def test_forgetting_too_much_counts_against():
    before, oracle = measures(0.6, 0.8, 0.5), measures(0.3, 0.8, 0.5)
    just_right, halfway_over, all_gone = (
        balance(measures(forget, 0.8, 0.5), before, oracle).value for forget in (0.3, 0.15, 0.0)
    )
    assert just_right == pytest.approx(1.0)
    assert halfway_over == pytest.approx(3 / (1 / 0.5 + 1 + 1))  # forgotten 1 - 0.15/0.3
    assert all_gone == 0.0


def test_becoming_better_than_before_earns_nothing_extra():
    assert balance(measures(0.1, 0.95, 0.9), BEFORE, ORACLE).value == pytest.approx(1.0)
    assert balance(measures(1.0, 0.8, 0.5), BEFORE, ORACLE).value == 0.0  # knows the forget set better: clipped at 0


def test_without_an_oracle_the_goal_is_0_and_the_meaning_says_so():
    for oracle in (None, measures(None, 0.8, 0.5)):
        found = balance(measures(0.0, 0.8, 0.5), BEFORE, oracle)
        assert found.value == pytest.approx(1.0)
        assert "no oracle: the goal is 0" in found.meaning


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (measures(0.3, None, 0.4), BEFORE),
        (measures(0.3, 0.6, 0.4), measures(0.9, None, 0.5)),
        (measures(0.3, 0.6, 0.4), measures(0.9, 0.0, 0.5)),
        (measures(0.3, 0.0005, 0.4), measures(0.9, 0.008, 0.5)),
    ],
    ids=["absent now", "absent before", "0 before", "nearly nothing before"],
)
def test_a_missing_part_is_left_out_and_named(now, before):
    found = balance(now, before, ORACLE)
    assert found.value == pytest.approx(2 / (1 / 0.75 + 1 / 0.8))
    assert "Not used, since absent or nearly nothing before: retain/probability." in found.meaning


def test_forgetting_alone_is_a_balance_that_says_what_it_lacks():
    found = balance(measures(0.3), measures(0.9), ORACLE)
    assert found.value == pytest.approx(0.75)
    assert "retain/probability, utility/exact_match" in found.meaning


@pytest.mark.parametrize(
    ("now", "before", "reason"),
    [
        (measures(None, 0.6, 0.4), BEFORE, "forget/probability was not measured now"),
        (measures(0.3, 0.6, 0.4), measures(None, 0.8, 0.5), "forget/probability was not measured before"),
        (measures(0.3, 0.6, 0.4), ORACLE, "there was nothing to forget"),
        ([], [], "forget/probability was not measured now"),
    ],
)
def test_without_forgetting_to_measure_there_is_no_balance(now, before, reason):
    found = balance(now, before, ORACLE)
    assert (found.value, found.count) == (None, 0)
    assert reason in found.reason


def test_the_keys_can_be_chosen():
    def said(value):
        return [Measure(name="rouge_l_recall", split="secrets", value=value, count=3)]

    found = balance(
        said(0.25), said(1.0), said(0.0), of=Balance(forget="secrets/rouge_l_recall", retain="a/b", utility="c/d")
    )
    assert found.value == pytest.approx(0.75)


def test_what_is_not_declared_is_left_out_and_nothing_declared_has_a_reason():
    found = balance(measures(0.3, 0.6, 0.4), BEFORE, ORACLE, of=Balance(forget="forget/probability"))
    assert found.value == pytest.approx(0.75)
    assert "Not used" not in found.meaning
    nothing = balance(measures(0.3, 0.6, 0.4), BEFORE, ORACLE, of=None)
    assert (nothing.value, nothing.reason) == (None, "no suite declares measures to compare checkpoints by")
