import pytest

from forgetting.core.errors import RecipeError
from forgetting.metrics.breakdown import by_group, by_kind, by_popularity
from forgetting.metrics.forget_quality import forget_quality
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean
from forgetting.metrics.utility import Part, harmonic_mean
from tests.metrics.making import record

likely_answers = mean(probability, ["forget", "retain"], "down")


def facts(popularities, split="forget"):
    """The nth fact has probability 0.1 · (n + 1)."""
    return [record(str(n), split, p=0.1 * (n + 1), popularity=popular) for n, popular in enumerate(popularities)]


def test_bins_are_thirds_of_the_splits_own_records():
    found = by_popularity(likely_answers)({"forget": facts([3, 200, 5, 1, 90, 7])}, None)
    # sorted: 1 3 | 5 7 | 90 200, the facts number 3 0 | 2 5 | 4 1
    assert [m.key for m in found] == [
        "forget/probability[rare]",
        "forget/probability[middle]",
        "forget/probability[popular]",
    ]
    assert [m.value for m in found] == pytest.approx([(0.4 + 0.1) / 2, (0.3 + 0.6) / 2, (0.5 + 0.2) / 2])
    assert [m.count for m in found] == [2, 2, 2]
    assert [m.direction for m in found] == ["down"] * 3


def test_given_edges_belong_to_the_bin_below():
    metric = by_popularity(likely_answers, bins=("rare", "popular"), edges=[10])
    rare, popular = metric({"forget": facts([10, 11, 2])}, None)
    assert (rare.value, rare.count) == (pytest.approx((0.1 + 0.3) / 2), 2)
    assert (popular.value, popular.count) == (pytest.approx(0.2), 1)
    assert rare.meaning.endswith("Only popularity up to 10.")
    assert popular.meaning.endswith("Only popularity above 10.")


def test_an_empty_bin_is_absent_with_its_reason():
    _, middle, popular = by_popularity(likely_answers, edges=[10, 20])({"forget": facts([1, 30])}, None)
    assert (middle.value, middle.count, middle.reason) == (None, 0, "no record of split 'forget' is in 'middle'")
    assert popular.value == pytest.approx(0.2)


def test_records_without_popularity_are_left_out():
    found = by_popularity(likely_answers)(
        {"forget": facts([None, 1, 2, 3]), "retain": facts([None, None], "retain")}, None
    )
    assert sum(m.count for m in found) == 3
    assert {m.split for m in found} == {"forget"}


def test_records_that_are_all_equally_popular_are_neither_rare_nor_popular():
    found = by_popularity(likely_answers)({"forget": facts([5, 5, 5])}, None)
    assert [m.value for m in found] == [None] * 3
    assert found[0].meaning.endswith("All records have popularity 5.")


def test_the_oracle_is_broken_down_by_the_same_questions():
    ours = [record(str(n), right=0.1, wrong=[0.01 * (n + 1)], popularity=n) for n in range(6)]
    theirs = [record(str(n), right=0.1, wrong=[0.5]) for n in range(6)]
    found = by_popularity(forget_quality(["forget"]))({"forget": ours}, {"forget": theirs})
    assert [m.name for m in found][:2] == ["forget_quality[rare]", "forget_quality_distance[rare]"]
    assert [m.count for m in found] == [2] * 6
    assert found[1].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("bins", "edges"), [(("rare", "popular"), [1, 2]), (("rare", "middle", "popular"), [2, 1]), (("rare",), [])]
)
def test_edges_that_make_no_bins_are_refused(bins, edges):
    with pytest.raises(RecipeError, match="popularity"):
        by_popularity(likely_answers, bins=bins, edges=edges)


def test_kinds_are_measured_apart():
    records = [
        record("a", p=0.2, kind="born"),
        record("b", p=0.4, kind="born"),
        record("c", p=0.9, kind="lives"),
        record("d", p=1.0),
    ]
    found = by_kind(likely_answers)({"forget": records}, None)
    assert {m.key: m.value for m in found} == pytest.approx(
        {"forget/probability[born]": 0.3, "forget/probability[lives]": 0.9}
    )
    assert found[0].meaning.endswith("Only records of kind 'born'.")


def test_a_split_of_one_kind_is_not_broken_down():
    assert by_kind(likely_answers)({"forget": [record("a", p=0.2, kind="born")]}, None) == []


def test_what_cannot_be_scored_in_a_group_is_absent():
    found = by_kind(likely_answers)({"forget": [record("a", kind="x"), record("b", kind="y", p=0.5)]}, None)
    assert (found[0].value, found[0].count) == (None, 0)
    assert found[0].reason == "none of the 1 records of split 'forget' has a score of its answer"


def test_measures_over_several_splits_are_not_broken_down():
    overall = harmonic_mean("kept", [Part("forget", probability)], "")
    assert by_popularity(overall)({"forget": facts([1, 2, 3])}, None) == []


def test_named_groups_may_overlap_and_an_empty_one_is_left_out():
    groups = {"first": {"0", "1"}, "both": {"1", "2"}, "none": {"9"}}
    about = {"first": "The first.", "both": "Both.", "none": "None."}
    records = {"forget": facts([1, 1, 1]), "retain": facts([1], "retain")}
    found = by_group(likely_answers, groups, about)(records, None)
    assert [(m.key, m.count) for m in found] == [
        ("forget/probability[first]", 2),
        ("forget/probability[both]", 2),
        ("retain/probability[first]", 1),
    ]
    assert [m.value for m in found] == pytest.approx([0.15, 0.25, 0.1])
    assert found[1].meaning.endswith("Both.")
