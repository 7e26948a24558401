"""Results that declare nothing are read by their names."""

from __future__ import annotations

from forgetting.runs.undeclared import guessed, guessed_splits

KEYS = [
    "forget/probability",
    "forget-narrative/probability",
    "retain/probability",
    "utility/probability",
    "forget/exact_match",
    "forget-narrative/exact_match",
    "retain/exact_match",
    "utility/exact_match",
    "forget/forget_quality",
    "all/model_utility",
    "holdout/probability",
]


def test_questions_have_the_columns_that_they_always_had() -> None:
    head = guessed(KEYS, ["unlearn"], trains=False).headline
    assert [column[0] for column in head.columns] == [
        "forget/probability",
        "forget/exact_match",
        "forget/forget_quality",
        "forget-narrative/probability",
        "retain/probability",
        "retain/exact_match",
        "utility/exact_match",
        "all/model_utility",
    ]
    assert guessed(KEYS, ["unlearn"], trains=True).headline.learned == ("holdout/probability",)


def test_what_is_held_out_is_unseen_text_where_no_stage_learns() -> None:
    assert guessed(KEYS, ["unlearn"], trains=False).unseen_splits == ("holdout",)
    assert guessed([*KEYS, "unseen/el_10"], ["unlearn"], trains=True).unseen_splits == ("unseen",)


def test_of_stages_with_sets_of_their_own_the_last_is_in_front() -> None:
    keys = [
        f"{stage}-{key}" for stage in ("one", "two") for key in ("forget/probability", "forget/el_10", "retain/el_10")
    ]
    head = guessed(keys, ["one", "two"], trains=False).headline
    assert head.forgotten == ("two-forget/probability", "one-forget/probability")
    assert head.sets == (("one-forget/el_10", "one-forget/probability"), ("two-forget/el_10", "two-forget/probability"))


def test_passages_show_what_can_be_extracted() -> None:
    head = guessed(["forget/el_10", "unseen/el_10", "forget/memorization_accuracy"], ["x"], trains=False).headline
    assert head.forgotten_too == (("forget/el_10",), ("forget/memorization_accuracy",))


def test_splits_are_told_by_how_they_begin() -> None:
    assert guessed_splits(KEYS) == (("forget", "forget-narrative"), ("retain",))
