import math

import numpy as np
import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.record import Score
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.per_example import PerExample
from forgetting.metrics.statistics import RESAMPLES, seed_of
from forgetting.metrics.text import exact_match, rouge_l_recall
from forgetting.metrics.utility import Part, harmonic_mean, tofu_model_utility
from tests.metrics.making import record
from tests.metrics.percentiles import percentiles

BOTH = [Part("retain", probability), Part("utility", exact_match)]


def test_the_harmonic_mean_by_hand():
    records = {
        "retain": [record("a", "retain", p=0.4), record("b", "retain", p=0.8)],
        "utility": [record("a", "utility", generation="Paris"), record("b", "utility", generation="Rome")],
    }
    [found] = harmonic_mean("kept", BOTH, "Kept.")(records, None)
    # parts 0.6 and 0.5: 2 / (1/0.6 + 1/0.5) = 2 / (11/3)
    assert (found.key, found.value, found.count) == ("all/kept", pytest.approx(6 / 11), 4)
    assert (found.direction, found.meaning) == ("up", "Kept.")


def test_one_lost_part_is_a_utility_of_0():
    records = {"retain": [record("a", "retain", p=0.9)], "utility": [record("a", "utility", generation="Rome")]}
    [found] = harmonic_mean("kept", BOTH, "")(records, None)
    assert found.value == 0.0


def test_the_interval_is_that_of_a_plain_loop_which_draws_the_questions_of_a_split_once_for_all_parts():
    rng = np.random.default_rng(4)
    said = ["Paris", "Paris by night", "Rome"]
    sizes = {"retain": 12, "utility": 9}
    records = {
        split: [
            record(f"{n:02}", split, p=rng.uniform(0.2, 0.9), answer="Paris by night", generation=said[n % 3])
            for n in range(size)
        ]
        for split, size in sizes.items()
    }
    parts = [Part(split, what) for split in records for what in (probability, rouge_l_recall)]
    [found] = harmonic_mean("kept", parts, "")(records, None)

    generators = {split: np.random.default_rng(seed_of(f"{split}/kept")) for split in records}
    values = []
    for _ in range(RESAMPLES):
        means = []
        for split, size in sizes.items():
            drawn = [records[split][n] for n in generators[split].integers(0, size, size=size)]
            means += [np.mean([what.value_of(r) for r in drawn]) for what in (probability, rouge_l_recall)]
        values.append(0.0 if min(means) == 0 else len(means) / sum(1 / m for m in means))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, percentiles(9))), rel=1e-12)


def test_what_is_missing_is_named():
    [found] = harmonic_mean("kept", BOTH, "")({"retain": [record("a", "retain")]}, None)
    assert (found.value, found.count, found.low) == (None, 0, None)
    assert found.reason == (
        "retain/probability: none of the 1 records of split 'retain' has a score of its answer; "
        "utility/exact_match: no records of split 'utility'"
    )


@pytest.mark.parametrize("value", [-0.5, math.inf])
def test_values_without_a_harmonic_mean_are_named(value):
    below = PerExample("change", lambda r: value, "", "")
    [found] = harmonic_mean("kept", [Part("retain", below)], "")({"retain": [record("a", "retain")]}, None)
    assert found.value is None
    assert "retain/change: has negative or infinite values" in found.reason


def test_a_part_that_some_records_lack_rests_on_the_others():
    records = {"retain": [record("a", "retain", p=0.5), record("b", "retain"), record("c", "retain", p=0.25)]}
    [found] = harmonic_mean("kept", [Part("retain", probability)], "")(records, None)
    assert (found.value, found.count) == (pytest.approx(0.375), 2)


def test_a_part_that_few_records_have_is_known_as_badly_as_of_few():
    rng = np.random.default_rng(1)
    left = [float(p) for p in rng.uniform(0.2, 0.9, 6)]
    records = [record(f"{n:02}", "retain", p=left[n] if n < 6 else None) for n in range(40)]
    [found] = harmonic_mean("kept", [Part("retain", probability)], "")({"retain": records}, None)
    drawn = np.random.default_rng(seed_of("retain/kept")).integers(0, 40, size=(RESAMPLES, 40))
    means = [np.mean([left[n] for n in row if n < 6]) for row in drawn if (row < 6).any()]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, percentiles(6))), rel=1e-12)


def test_a_value_that_is_not_a_number_is_missing():
    odd = PerExample("odd", lambda r: math.nan if r.id == "a" else 0.5, "", "")
    [found] = harmonic_mean("kept", [Part("retain", odd)], "")(
        {"retain": [record("a", "retain"), record("b", "retain")]}, None
    )
    assert (found.value, found.count) == (pytest.approx(0.5), 1)


def test_one_question_gives_no_interval():
    [found] = harmonic_mean("kept", BOTH[:1], "")({"retain": [record("a", "retain", p=0.5)]}, None)
    assert (found.value, found.low, found.high) == (pytest.approx(0.5), None, None)


def test_parts_of_equal_values_claim_no_certainty():
    same = {"retain": [record(str(i), "retain", p=0.5) for i in range(78)]}
    [found] = harmonic_mean("kept", BOTH[:1], "")(same, None)
    assert (found.low, found.high) == pytest.approx((0.4765, 0.5235), abs=1e-4)
    lost = {"retain": [record(str(i), "retain", score=Score(-math.inf, 1)) for i in range(78)]}
    [found] = harmonic_mean("kept", BOTH[:1], "")(lost, None)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.0469, abs=1e-4)  # Wilson's upper end for 0 of 78


def test_a_mean_of_no_parts_is_refused():
    with pytest.raises(RecipeError, match="'kept' is a harmonic mean of no parts"):
        harmonic_mean("kept", [], "")


def test_tofus_utility_without_wrong_answers_names_every_part_it_lacks():
    splits = ("retain", "real_authors", "world_facts")
    records = {split: [record("a", split, p=0.5, generation="Paris")] for split in splits}
    [found] = tofu_model_utility()(records, None)
    assert (found.key, found.value) == ("all/model_utility", None)
    assert [part.split(":")[0] for part in found.reason.split("; ")] == [
        "retain/truth_ratio_utility",
        f"real_authors/{option_probability.name}",
        "real_authors/truth_ratio_utility",
        f"world_facts/{option_probability.name}",
        "world_facts/truth_ratio_utility",
    ]
