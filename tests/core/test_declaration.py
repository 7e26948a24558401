"""What suites declare is renamed, joined and laid over each other without a look at any name."""

from __future__ import annotations

from forgetting.core.declaration import Balance, Declaration, Extraction, Headline, joined, of_stages

QUESTIONS = Declaration(
    headline=Headline(
        forgotten=("f/p", "f/e"),
        forgotten_too=(("f/e",),),
        quality=("f/q",),
        forms=(("n/p",), ("o/p",)),
        kept=("r/p",),
        utility=("u/e",),
        overall=("all/m",),
    ),
    balance=Balance(forget="f/p", retain="r/p", utility="u/e"),
    alarm=("r/p",),
    forget_splits=("f", "n", "o"),
    retain_splits=("r",),
)
PASSAGES = Declaration(
    headline=Headline(forgotten=("p/p",), forgotten_too=(("p/el",), ("p/ma",)), one=("p/el",), kept=("s/p",)),
    balance=Balance(forget="p/p"),
    extraction=Extraction(forget="p", unseen="x", n=10),
    forget_splits=("p",),
)


def test_columns_stand_in_the_order_of_the_fields_with_one_other_form() -> None:
    assert QUESTIONS.headline.columns == (
        ("f/p", "f/e"),
        ("f/e",),
        ("f/q",),
        ("n/p",),
        ("r/p",),
        ("u/e",),
        ("all/m",),
    )


def test_a_label_changes_every_name_and_nothing_else() -> None:
    there = QUESTIONS.labelled("x-")
    assert there.headline.columns == tuple(tuple(f"x-{k}" for k in column) for column in QUESTIONS.headline.columns)
    assert there.balance == Balance(forget="x-f/p", retain="x-r/p", utility="x-u/e")
    assert (there.alarm, there.forget_splits) == (("x-r/p",), ("x-f", "x-n", "x-o"))
    assert PASSAGES.labelled("x-").balance == Balance(forget="x-p/p")  # what is not declared stays undeclared
    assert PASSAGES.labelled("x-").extraction == Extraction(forget="x-p", unseen="x-x", n=10)


def test_of_several_suites_the_first_that_declares_a_thing_decides_it() -> None:
    both = joined([PASSAGES, QUESTIONS])
    assert both.headline.forgotten == ("p/p",) and both.headline.quality == ("f/q",)
    assert both.balance == Balance(forget="p/p", retain="r/p", utility="u/e")
    assert both.alarm == ("r/p",) and both.extraction == PASSAGES.extraction
    columns = both.headline.columns
    assert set(columns) == {*PASSAGES.headline.columns, *QUESTIONS.headline.columns}
    assert len(columns) == len(set(columns))
    assert joined([QUESTIONS]) == QUESTIONS and joined([]) == Declaration()


def test_of_stages_with_suites_of_their_own_the_last_is_in_front_and_each_set_has_a_column() -> None:
    one, two = PASSAGES.labelled("one-"), PASSAGES.labelled("two-")
    found = of_stages([one, two], [])
    assert found.headline.columns == (("two-p/p",), ("one-p/el", "one-p/p"), ("two-p/el", "two-p/p"), ("two-s/p",))
    assert found.forget_splits == ("two-p", "one-p")
    assert of_stages([one], [QUESTIONS]) == joined([one, QUESTIONS])


def test_a_stage_s_own_stands_over_the_rest() -> None:
    assert PASSAGES.over(QUESTIONS).balance == Balance(forget="p/p", retain="r/p", utility="u/e")
