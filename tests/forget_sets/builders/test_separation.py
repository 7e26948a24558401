"""Scores counted in bins for a figure."""

import numpy as np

from forgetting.forget_sets.builders.separation import Tally, separation


def test_every_value_is_counted_once_in_the_bin_that_holds_it() -> None:
    values = np.random.default_rng(0).uniform(0.3, 1.1, 1000)
    tally = Tally()
    for part in np.array_split(values, 7):
        tally.add(part)
    found = separation("x", {"all": tally})
    counted, _ = np.histogram(values, np.array(found.edges))
    assert found.counts["all"] == tuple(counted)
    assert sum(counted) == 1000
    assert len(counted) <= 50


def test_groups_share_bins_over_the_range_of_all_and_empty_ones_are_left_out() -> None:
    groups = {"a": Tally(np.array([0.0])), "b": Tally(np.array([2.0, 2.0])), "none": Tally()}
    found = separation("x", groups)
    assert (found.edges[0], found.edges[-1], len(found.edges)) == (0.0, 2.0, 51)
    assert {name: (counts[0], counts[-1]) for name, counts in found.counts.items()} == {"a": (1, 0), "b": (0, 2)}


def test_a_value_on_an_edge_belongs_above_it() -> None:
    found = separation("x", {"a": Tally(np.array([0.29, 0.57, 0.58]))})  # 0.29 / 0.005 is a little below 58 in float
    assert found.edges[0] == 0.29


def test_what_is_taken_out_is_no_longer_counted() -> None:
    values = np.array([0.1, 0.1, 0.7])
    assert Tally(values).without(values[1:]).counts.sum() == 1
