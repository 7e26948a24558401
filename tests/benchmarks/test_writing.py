"""Text is written for a seeded sample of each split; a smaller suite writes for a part of the same examples."""

from __future__ import annotations

from dataclasses import replace

from forgetting.benchmarks.suite import Split, Suite
from forgetting.benchmarks.writing import Writing
from forgetting.core.example import Example


def examples(count: int, **more: object) -> tuple[Example, ...]:
    return tuple(Example(id=f"e{i}", prompt=f"Question {i}?", response=str(i), **more) for i in range(count))


def suite(*splits: Split) -> Suite:
    return Suite(name="s", splits=splits, metrics=())


def written(found: Suite, split: str = "forget") -> set[str]:
    one = next(s for s in found.splits if s.name == split)
    return {e.id for e in one.examples} if one.written is None else set(one.written)


def test_as_many_are_drawn_as_asked_for_and_another_seed_draws_others() -> None:
    whole = suite(Split(name="forget", examples=examples(40)), Split(name="few", examples=examples(5)))
    one, other = (Writing.of(whole, 8, seed).on(whole) for seed in (0, 1))
    assert len(written(one)) == len(written(other)) == 8 and written(one) != written(other)
    assert written(one) == written(Writing.of(whole, 8, 0).on(whole))
    assert len(written(one, "few")) == 5 and next(s for s in one.splits if s.name == "few").written is None
    assert written(one) < written(Writing.of(whole, 12, 0).on(whole))  # a smaller sample is part of a larger one


def test_nothing_is_drawn_where_nothing_is_written() -> None:
    documents = examples(9, form="text")
    splits = (
        Split(name="scored", examples=examples(9), generate=False),
        Split(name="documents", examples=tuple(replace(e, prompt="") for e in documents)),
        Split(name="passages", examples=documents, extraction=()),
    )
    assert all(split.written is None for split in Writing.of(suite(*splits), 3, 0).on(suite(*splits)).splits)


def test_a_smaller_suite_writes_for_drawn_examples_alone_and_for_enough_of_them() -> None:
    whole = suite(Split(name="forget", examples=examples(60)))
    writing = Writing.of(whole, 10, 0)
    for size in (4, 20):
        smaller = suite(Split(name="forget", examples=whole.splits[0].examples[:size]))
        found = writing.within(smaller)
        assert written(found) <= written(writing.on(whole)) and len(written(found)) >= min(size, 10)
        assert {e.id for e in smaller.splits[0].examples} <= {e.id for e in found.splits[0].examples}


def test_what_a_smaller_suite_leaves_out_of_its_examples_stays_out() -> None:
    whole = suite(Split(name="forget", examples=examples(30, perturbed=("a", "b"))))
    bare = suite(Split(name="forget", examples=tuple(replace(e, perturbed=()) for e in whole.splits[0].examples[:5])))
    found = Writing.of(whole, 5, 0).within(bare)
    assert not any(e.perturbed for e in found.splits[0].examples)
