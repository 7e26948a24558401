"""What is called a duplicate is one: checked against the definition on every pair."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from forgetting.core.example import Example, Message
from forgetting.data.duplicates import Seen, bands, jaccard, shingles


def example(prompt: str, response: str, **more: object) -> Example:
    return Example(id=f"{prompt}|{response}", prompt=prompt, response=response, **more)  # type: ignore[arg-type]


def index_of(first: Example, second: Example) -> float:
    """The Jaccard index of the sets of word triples, written out."""

    def triples(e: Example) -> set[tuple[str, ...]]:
        words = f"{e.prompt} {e.response}".casefold().split()
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

    a, b = triples(first), triples(second)
    return len(a & b) / len(a | b)


def corrupted_copies(seed: int, originals: int, copies: int) -> list[Example]:
    """Texts, and copies of each with ever more of their words replaced."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(300)]
    texts = []
    for _ in range(originals):
        text = rng.choices(words, k=rng.randint(12, 60))
        texts.append(text)
        for changes in range(copies):
            copy = list(text)
            for place in rng.sample(range(len(copy)), min(changes, len(copy))):
                copy[place] = rng.choice(words)
            texts.append(copy)
    return [example(" ".join(t[:5]), " ".join(t[5:])) for t in texts]


@pytest.mark.parametrize("near", [0.5, 0.8, 0.95])
def test_near_duplicates_are_those_of_the_definition(near: float) -> None:
    examples = corrupted_copies(0, originals=15, copies=8)
    seen, kept, missed = Seen(near), [], 0
    for e in examples:
        duplicate = any(index_of(e, k) >= near for k in kept)
        kind = seen.meet(e)
        assert duplicate or kind is None, "nothing is dropped that is not a duplicate"
        missed += duplicate and kind is None
        if kind is None:
            kept.append(e)
    assert missed <= 1 and 15 <= len(kept) < len(examples)
    close = [1 for a, b in combinations(kept, 2) if index_of(a, b) >= near]
    assert len(close) == missed


def test_the_index_counts_shared_shingles() -> None:
    first, second = example("", "a b c d e"), example("", "a b c d x")
    assert shingles(first) == {"a b c", "b c d", "c d e"}
    assert jaccard(shingles(first), shingles(second)) == 2 / 4


def test_case_and_spaces_make_no_difference_and_the_border_of_prompt_and_response_does() -> None:
    seen = Seen(None)
    assert seen.meet(example("Who was  Ada?", "A\nprogrammer.")) is None
    assert seen.meet(example("who WAS Ada? ", "a programmer.")) == "exact"
    assert seen.meet(example("who was Ada? a", "programmer.")) is None
    assert Seen(None).meet(example("who was Ada? a", "programmer!")) is None


def test_without_a_bound_only_equal_texts_are_duplicates() -> None:
    first = example("q", " ".join(map(str, range(100))))
    second = example("q", " ".join(map(str, range(99))))
    for near, kind in ((None, None), (0.9, "near")):
        seen = Seen(near)
        assert (seen.meet(first), seen.meet(second)) == (None, kind)


def test_a_text_of_one_or_two_words_is_one_shingle() -> None:
    assert shingles(example("", "yes")) == {"yes"}
    assert shingles(example("ok?", "Yes")) == {"ok? yes"}
    seen = Seen(0.1)
    assert [seen.meet(example("", t)) for t in ("yes", "no", "yes sir", "yes sir", "YES")] == [
        None,
        None,
        None,
        "exact",
        "exact",
    ]


def test_a_near_duplicate_is_measured_against_what_was_kept() -> None:
    words = [f"w{i}" for i in range(40)]
    chain = [example("q", " ".join(words[i : i + 30])) for i in range(0, 6, 2)]
    assert index_of(chain[0], chain[1]) >= 0.8 > index_of(chain[0], chain[2])
    assert index_of(chain[1], chain[2]) >= 0.8
    seen = Seen(0.8)
    assert [seen.meet(e) for e in chain] == [None, "near", None]


def test_conversations_with_other_earlier_turns_are_two() -> None:
    def after(first: str) -> Example:
        return example("And then?", "Stop.", context=(Message("user", first), Message("assistant", "Ok.")))

    seen = Seen(0.8)
    assert seen.meet(after("Go from here to the end of the road")) is None
    assert seen.meet(after("Say what the weather will be like tomorrow")) is None
    assert seen.meet(after("Go from here to the end of  the ROAD")) == "exact"


def test_examples_of_one_template_are_told_apart() -> None:
    template = " ".join(f"t{i}" for i in range(30))
    rng = random.Random(1)
    examples = [example(template, " ".join(f"w{rng.randrange(10_000)}" for _ in range(20))) for _ in range(300)]
    seen = Seen(0.8)
    assert [seen.meet(e) for e in examples] == [None] * 300


@pytest.mark.parametrize("near", [0.1, 0.3, 0.5, 0.8, 0.9, 0.99, 1.0])
def test_the_bands_find_a_pair_at_the_bound(near: float) -> None:
    number, rows = bands(near)
    assert number >= 2 and number * rows <= 192
    assert (1 - near**rows) ** number < 0.002


def test_texts_that_utf_8_cannot_hold_do_no_harm() -> None:
    assert Seen(0.8).meet(example("", "half \ud83d of it")) is None


def test_near_duplicates_are_found_in_a_script_without_spaces() -> None:
    told = "王小明住在那里，他的电话是一三八零零一三八零零零，他买了一台"
    first, second = (example("谁住在北京市朝阳区建国路八十八号？", told + what) for what in ("锅炉。", "电视。"))
    third = example("谁写了这本书？", "是一位住在南方的老人写的。")
    seen = Seen(0.8)
    assert [seen.meet(e) for e in (first, second, third)] == [None, "near", None]


def test_composed_and_decomposed_texts_are_the_same() -> None:
    seen = Seen(None)
    assert [seen.meet(e) for e in (example("Café?", "à"), example("Cafe\u0301?", "a\u0300"))] == [None, "exact"]
