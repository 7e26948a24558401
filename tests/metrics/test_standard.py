import pytest

from forgetting.metrics.score import score
from forgetting.metrics.standard import standard_metrics
from tests.metrics.making import record


def asked(split, p, **fields):
    """Six questions of two kinds and rising popularity."""
    return [
        record(f"{n}", split, p=p + 0.01 * n, right=p, wrong=[0.1 + 0.01 * n], kind="xy"[n % 2], popularity=n, **fields)
        for n in range(6)
    ]


WORLD = [
    *asked("forget", 0.6, generation="Paris"),
    *asked("retain", 0.7, generation="Paris"),
    *asked("utility", 0.8, generation="Rome"),
]
ORACLE = [*asked("forget", 0.1, generation="Rome"), *asked("retain", 0.7, generation="Paris")]


def test_full_records_and_an_oracle_leave_nothing_absent():
    found = {m.key: m for m in score(standard_metrics(), WORLD, ORACLE)}
    assert {
        *(f"{s}/{name}" for s in ("forget", "retain", "utility") for name in ("probability", "rouge_l_recall")),
        *(f"{s}/{name}" for s in ("forget", "retain", "utility") for name in ("rouge_l_f1", "exact_match")),
        *("forget/truth_ratio_forget", "retain/truth_ratio_utility", "utility/truth_ratio_utility"),
        *("forget/forget_quality", "forget/forget_quality_distance", "all/model_utility"),
        *("forget/probability[rare]", "retain/rouge_l_recall[popular]"),
        *("utility/exact_match[x]", "forget/probability[y]"),
    } <= set(found)
    assert [m.key for m in found.values() if m.value is None] == []


def test_what_the_records_cannot_give_is_absent_with_a_reason_and_the_rest_is_there():
    bare = [record(f"{n}", split, p=0.5 + 0.1 * n) for split in ("forget", "retain", "utility") for n in range(3)]
    found = score(standard_metrics(), bare)
    measured = {m.key for m in found if m.value is not None}
    assert measured == {"forget/probability", "retain/probability", "utility/probability"}
    assert all(m.reason for m in found if m.value is None)
    assert all((m.value is None) == bool(m.reason) for m in found)


def test_the_goal_of_forget_splits_is_the_oracle_or_down_and_elsewhere_up():
    def directions(oracle):
        return {m.key: m.direction for m in score(standard_metrics(), WORLD, oracle)}

    with_oracle, without = directions(ORACLE), directions(None)
    for key in ("forget/probability", "forget/rouge_l_recall[rare]", "forget/exact_match", "forget/truth_ratio_forget"):
        assert with_oracle[key] == "oracle"
    assert (without["forget/probability"], without["forget/probability[x]"]) == ("down", "down")
    assert without["forget/truth_ratio_forget"] == "up"
    for key in ("retain/probability", "utility/exact_match", "retain/truth_ratio_utility", "all/model_utility"):
        assert (with_oracle[key], without[key]) == ("up", "up")


def test_every_measure_says_what_it_means_in_one_line():
    for measure in score(standard_metrics(), WORLD, ORACLE):
        assert len(measure.meaning) > 30
        assert "\n" not in measure.meaning


def test_splits_can_be_named():
    metrics = standard_metrics(["secrets"], ["kept"], [])
    found = {m.key for m in score(metrics, [record("a", "secrets", p=0.5), record("a", "kept", p=0.5)])}
    assert {"secrets/probability", "kept/probability", "all/model_utility"} <= found
    assert {key.split("/")[0] for key in found} == {"secrets", "kept", "all"}


@pytest.mark.parametrize(("retain", "utility"), [([], []), (["retain"], [])])
def test_utility_needs_something_to_keep(retain, utility):
    keys = {m.key for m in score(standard_metrics(["forget"], retain, utility), WORLD)}
    assert ("all/model_utility" in keys) == bool(retain)
