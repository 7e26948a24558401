"""A corpus has the sizes that were asked for, no duplicates, and two parts that share nothing."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example
from forgetting.data.corpus import Corpus, Parts, build_corpus, check_shares
from forgetting.data.duplicates import jaccard, shingles
from forgetting.data.source import Source

Given = tuple[str, Source, Sequence[Example]]


def example(key: str, response: str | None = None) -> Example:
    words = random.Random(key).choices([f"w{i}" for i in range(500)], k=20)
    return Example(id=key, prompt=f"q {key}", response=response or " ".join(words))


def source(label: str, rows: int | Sequence[Example], **keys: object) -> Given:
    examples = [example(f"{label}{i}") for i in range(rows)] if isinstance(rows, int) else rows
    return label, Source(path=f"{label}.jsonl", **keys), examples  # type: ignore[arg-type]


def build(corpus: Corpus, *drawn: Given, seed: int = 0) -> Parts:
    return build_corpus(corpus, drawn, seed)


def keys(examples: Sequence[Example]) -> list[str]:
    return [e.id for e in examples]


def test_shares_and_size_are_met() -> None:
    parts = build(Corpus(size=100, reference=20), source("a", 30, share=0.05), source("b", 200, share=0.95))
    assert Counter(parts.labels.values()) == {"a": 5, "b": 95}
    assert (len(parts.reference), len(parts.train), len(parts.all)) == (20, 80, 100)
    assert not set(keys(parts.reference)) & set(keys(parts.train))


def test_without_size_shares_and_counts_all_rows_are_taken_once() -> None:
    parts = build(Corpus(), source("a", 30), source("b", 40))
    assert sorted(keys(parts.train)) == sorted([f"a{i}" for i in range(30)] + [f"b{i}" for i in range(40)])
    assert parts.reference == ()


def test_sources_without_share_or_count_are_drawn_from_as_one() -> None:
    parts = build(Corpus(size=300), source("a", 1000), source("b", 3000))
    counts = Counter(parts.labels.values())
    assert counts.total() == 300 and 50 <= counts["a"] <= 100  # 75 expected, with a deviation of 7


def test_the_seed_and_the_label_alone_decide_what_is_drawn() -> None:
    first = build(Corpus(reference=5), source("a", 40, count=10), source("b", 40, count=10))
    again = build(Corpus(reference=5), source("a", 40, count=10), source("b", 40, count=10))
    assert first == again
    alone = build(Corpus(), source("b", 40, count=10))
    assert keys(alone.train) == [k for k, label in first.labels.items() if label == "b"]
    assert set(keys(build(Corpus(), source("b", 40, count=10), seed=1).train)) != set(keys(alone.train))


def test_rows_are_drawn_from_the_whole_source() -> None:
    drawn = {
        k for seed in range(20) for k in keys(build(Corpus(near=None), source("a", 40, count=10), seed=seed).train)
    }
    assert len(drawn) > 35


def test_the_reference_is_drawn_from_the_whole_corpus() -> None:
    parts = build(Corpus(reference=0.5), source("a", 100), source("b", 100))
    rows = {row.label: row for row in parts.rows}
    assert 30 <= rows["a"].reference <= 70 and rows["a"].reference + rows["b"].reference == 100
    assert all(row.reference + row.train == row.drawn == 100 for row in parts.rows)


def with_duplicates(label: str, rows: int) -> list[Example]:
    """Of each text an equal one in capitals, and one with its last word changed."""
    own = [example(f"{label}{i}") for i in range(rows)]
    exact = [Example(id=f"{e.id}X", prompt=e.prompt.upper(), response=f" {e.response}") for e in own]
    near = [
        Example(id=f"{e.id}N", prompt=e.prompt, response=f"{e.response[: e.response.rindex(' ')]} end") for e in own
    ]
    return [*own, *exact, *near]


def no_duplicates(examples: Sequence[Example], near: float) -> bool:
    sets = [shingles(e) for e in examples]
    return all(jaccard(a, b) < near for i, a in enumerate(sets) for b in sets[:i])


def test_duplicates_are_dropped_within_and_across_sources() -> None:
    a, b = with_duplicates("a", 20), with_duplicates("b", 20)
    parts = build(Corpus(reference=10), source("a", a), source("b", [*b, *(e for e in a if e.id.endswith("X"))]))
    assert len(parts.all) == 40 and no_duplicates(parts.all, 0.8)
    assert parts.dropped_exact + parts.dropped_near == len(a) + len(b) + 20 - 40
    rows = {row.label: row for row in parts.rows}
    assert rows["a"].drawn == 20 and rows["a"].exact + rows["a"].near == 40
    assert rows["b"].drawn == 20, "what repeats the first source is dropped from the second"
    assert rows["b"].exact + rows["b"].near == 60


def test_of_two_duplicates_the_earlier_source_s_stays() -> None:
    twice = example("x")
    first = source("a", [twice, example("y")])
    second = source("b", [Example(id="z", prompt=twice.prompt.upper(), response=twice.response), example("u")])
    assert set(keys(build(Corpus(), first, second).train)) == {"x", "y", "u"}
    assert set(keys(build(Corpus(), second, first).train)) == {"z", "y", "u"}


def test_counts_are_met_although_there_are_duplicates() -> None:
    parts = build(Corpus(), source("a", with_duplicates("a", 20), count=20))
    assert len(parts.train) == 20 and no_duplicates(parts.train, 0.8)


def test_duplicates_beyond_what_is_drawn_are_of_no_concern() -> None:
    a = source("a", with_duplicates("a", 20), count=1)
    parts = build(Corpus(), a, source("b", [e for e in a[2] if e.id.endswith("X")]))
    assert len(parts.train) == 20, "of what `a` did not draw, `b` loses nothing"


def test_duplicates_can_be_kept_and_are_counted_all_the_same() -> None:
    examples = with_duplicates("a", 20)
    dropped = build(Corpus(), source("a", examples))
    kept = build(Corpus(duplicates="keep", reference=30), source("a", examples))
    assert len(kept.all) == 60 and (kept.dropped_exact, kept.dropped_near) == (0, 0)
    assert (kept.rows[0].exact, kept.rows[0].near) == (dropped.dropped_exact, dropped.dropped_near)
    assert {k[:-1] for k in keys(kept.reference)} & {k[:-1] for k in keys(kept.train)}


def test_near_null_drops_equal_texts_only() -> None:
    parts = build(Corpus(near=None), source("a", with_duplicates("a", 20)))
    assert (len(parts.train), parts.dropped_exact, parts.dropped_near) == (40, 20, 0)


def test_ids_that_stand_twice_get_a_number() -> None:
    def rows(prompt: str) -> list[Example]:
        return [Example(id=str(i), prompt=f"{prompt} {i}", response=example(f"{prompt}{i}").response) for i in range(3)]

    parts = build(Corpus(), source("a", rows("a")), source("b", rows("b")), source("c", [example("0~2")]))
    assert sorted(keys(parts.train)) == ["0", "0~2", "0~3", "1", "1~2", "2", "2~2"]
    assert all(parts.labels[e.id] == ("c" if e.id == "0~2" else e.prompt[0]) for e in parts.train)
    copies = build(Corpus(duplicates="keep"), source("a", [example("x")] * 3))
    assert sorted(keys(copies.train)) == ["x", "x~2", "x~3"]


def test_the_table_holds_samples_and_percentages_of_both_parts() -> None:
    parts = build(Corpus(size=40, reference=10), source("a", 30, share=0.25), source("b", 60, share=0.75))
    told = json.loads(json.dumps(parts.to_json()))
    assert told["samples"] == {"all": 40, "reference": 10, "train": 30}
    assert told["duplicates"] == {"policy": "drop", "exact": 0, "near": 0}
    a, b = told["sources"]
    assert (a["source"], a["rows"], a["all"]) == ("a", 30, {"samples": 10, "percent": 25.0})
    assert (b["source"], b["rows"], b["all"]) == ("b", 60, {"samples": 30, "percent": 75.0})
    for part, size in (("reference", 10), ("train", 30)):
        assert a[part]["samples"] + b[part]["samples"] == size
        assert a[part]["percent"] == pytest.approx(100 * a[part]["samples"] / size)
    bare = build(Corpus(), source("a", 3)).to_json()
    assert bare["sources"][0]["reference"] is None  # type: ignore[index]


@pytest.mark.parametrize(
    ("corpus", "drawn", "message"),
    [
        (
            Corpus(),
            [source("a", 30, count=31)],
            "^a: has 30 examples, and 31 are asked of it; lower its share or count",
        ),
        (Corpus(size=100), [source("a", 30, share=1), source("b", 90, share=1)], "^a: has 30 examples, and 50 are"),
        (Corpus(size=100), [source("a", 30), source("b", 60)], r"^a \+ b: has 90 examples, and 100 are asked"),
        (
            Corpus(),
            [source("a", with_duplicates("a", 20), count=30)],
            r"^a: has 60 examples, of which 20 are left without duplicates \(\d+ exact, \d+ near\), and 30 are asked",
        ),
        (
            Corpus(reference=30),
            [source("a", 30)],
            "reference is 30, which leaves none of the corpus's 30 examples",
        ),
        (
            Corpus(reference=0.99),
            [source("a", 10)],
            r"reference is 0.99, which leaves none of the corpus's 10 .* \(0 duplicates were dropped\)",
        ),
    ],
)
def test_what_cannot_be_drawn_is_one_line(corpus: Corpus, drawn: list[Given], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        build_corpus(corpus, drawn, 0)
    assert "\n" not in str(raised.value)


def test_shares_are_checked_before_any_data_is_read() -> None:
    shared = [("a", Source(path="a.csv", share=0.5))]
    with pytest.raises(RecipeError, match="a: has a share, but the corpus has no size"):
        check_shares(Corpus(), shared)
    check_shares(Corpus(size=10), shared)


@pytest.mark.parametrize("reference", [0, -3, 1.0, 1.5, 0.0, -0.1, True])
def test_a_reference_is_a_number_of_examples_or_a_share(reference: float) -> None:
    with pytest.raises(ValidationError, match="reference"):
        Corpus(reference=reference)


@pytest.mark.parametrize("keys", [{"near": 0}, {"near": 1.1}, {"size": 0}, {"duplicates": "some"}, {"sise": 3}])
def test_settings_that_have_no_meaning_are_refused(keys: dict) -> None:
    with pytest.raises(ValidationError):
        Corpus(**keys)


def test_a_share_of_a_small_corpus_is_at_least_one_example() -> None:
    assert len(build(Corpus(reference=0.01), source("a", 10)).reference) == 1
