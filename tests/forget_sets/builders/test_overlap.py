"""What a forget set shares with other data, against all pairs."""

import random

from forgetting.core.example import Example
from forgetting.data.duplicates import jaccard, shingles
from forgetting.data.examples import said
from forgetting.forget_sets.builders.overlap import Overlap, overlap_with


def examples(texts: list[str], name: str) -> list[Example]:
    return [Example(id=f"{name}{i}", response=text, form="text") for i, text in enumerate(texts)]


def test_exact_and_near_are_those_of_all_pairs() -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choice("abcdefgh") for _ in range(draw.randint(1, 30))) for _ in range(120)]
    forget = examples(texts, "f")
    other = examples([_edited(draw.choice(texts), draw) for _ in range(120)], "o")
    exact = [e.id for e in forget if any(said(e) == said(o) for o in other)]
    near = [e.id for e in forget if e.id not in exact and any(jaccard(shingles(e), shingles(o)) >= 0.8 for o in other)]
    assert len(exact) > 5
    assert len(near) > 5
    assert overlap_with(forget, other) == Overlap(tuple(exact), tuple(near))


def _edited(text: str, draw: random.Random) -> str:
    words = text.upper().split()
    if draw.random() < 0.7:
        words[-1] = "z"
    return "  ".join(words)


def test_repeats_within_one_side_are_no_overlap() -> None:
    twice = examples(["one two three four five"] * 2, "f")
    assert overlap_with(twice, examples(["six seven eight nine"], "o")) == Overlap((), ())


def test_all_repeats_of_what_stands_there_count() -> None:
    twice = examples(["one two three four five"] * 2, "f")
    assert overlap_with(twice, examples(["One two  three four five"], "o")).exact == ("f0", "f1")
