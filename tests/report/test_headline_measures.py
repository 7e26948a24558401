"""What stands in front follows from what was measured."""

from dataclasses import replace
from pathlib import Path

from forgetting.report import headline_measures
from tests.report.fixtures import IHL, IHL_RUN, Levels, load


def only(tmp_path: Path, levels: Levels) -> list[str]:
    return headline_measures.headline_keys(
        load(tmp_path, replace(IHL_RUN, before=None, oracle=None, after=levels, epochs=()))
    )


def test_probability_stands_before_exact_match(tmp_path: Path) -> None:
    runs = load(tmp_path, IHL_RUN)
    assert headline_measures.forgetting_key(runs) == "forget/probability"
    assert headline_measures.retention_key(runs) == "retain/probability"


def test_a_measure_that_nobody_has_a_value_of_gives_way(tmp_path: Path) -> None:
    story = replace(IHL_RUN, before=None, oracle=None, epochs=(), after={**IHL, "forget/probability": None})
    assert headline_measures.forgetting_key(load(tmp_path, story)) == "forget/exact_match"


def test_the_utility_split_stands_before_model_utility_which_counts_retain_too(tmp_path: Path) -> None:
    assert headline_measures.utility_key(load(tmp_path, IHL_RUN)) == "utility/exact_match"
    assert only(tmp_path / "b", {"all/model_utility": 0.6}) == ["all/model_utility"]


def test_there_are_at_most_eight(tmp_path: Path) -> None:
    assert len(headline_measures.headline_keys(load(tmp_path, IHL_RUN))) == 8


def test_other_forms_of_the_forget_set_are_found_by_their_split(tmp_path: Path) -> None:
    assert headline_measures.other_forms_keys(load(tmp_path, IHL_RUN)) == ["forget_narrative/probability"]


def test_all_keys_keep_splits_together(tmp_path: Path) -> None:
    splits = [key.split("/")[0] for key in headline_measures.all_keys(load(tmp_path, IHL_RUN))]
    assert splits == sorted(splits, key=splits.index)
    assert len(splits) == len(IHL)
