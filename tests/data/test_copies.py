"""Copies, near duplicates and passages, against loops over all texts."""

import random

from forgetting.data.copies import Copies
from forgetting.data.name_phrases import Phrase


def _jaccard(first: Phrase, second: Phrase) -> float:
    """Of the sets of 3 words in a row, from nested loops."""
    one, two = ({words[i : i + 3] for i in range(max(1, len(words) - 2))} for words in (first, second))
    return len(one & two) / len(one | two)


def test_near_duplicates_are_exactly_those_of_all_pairs() -> None:
    rng = random.Random(3)
    texts = [tuple(rng.choice("abcdefg") * 2 for _ in range(rng.randint(1, 30))) for _ in range(60)]
    rows = [tuple(w if rng.random() < 0.97 else "zz" for w in rng.choice(texts)) for _ in range(200)]
    copies = Copies([((), text) for text in texts], [str(i) for i in range(len(texts))])
    found = [dict(copies.near(row)) for row in rows]
    right = [{i: _jaccard(row, text) for i, text in enumerate(texts) if _jaccard(row, text) >= 0.8} for row in rows]
    assert found == right and sum(map(len, right)) > 50


def test_the_longest_passage_of_each_text_is_found() -> None:
    own = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    copies = Copies([((), own), ((), ("x",) * 3)], ["a", "b"])
    row = ("so", *own[:9], "then", *own, "end")
    assert list(copies.passages(row)) == [(0, 11, 21)]
    assert list(copies.passages(own[:7])) == []


def test_a_passage_of_phrases_that_many_groups_share_is_phrasing() -> None:
    frame = ("was", "seen", "by", "the", "doctor", "and", "was", "then", "discharged", "home", "to")
    texts = [((), (*frame, f"place{i}", "after", f"day{i}", "with", f"pill{i}")) for i in range(4)]
    copies = Copies(texts, list("abcd"))
    assert copies.is_phrasing((*frame, "place1"), lambda phrase: False)
    other = ("she", "wrote", "nine", "strange", "letters", "to", "her", "aunt")
    assert not copies.is_phrasing(other, lambda phrase: False) and copies.is_phrasing(other, lambda phrase: True)


def test_a_question_and_its_answer_may_stand_apart_in_a_row() -> None:
    copies = Copies([(("where", "is", "it"), ("in", "rome"))], ["a"])
    assert list(copies.whole(("q", "where", "is", "it", "a", "in", "rome"))) == [(0, 1, 4)]
    assert list(copies.whole(("where", "is", "it", "in", "paris"))) == []


def test_texts_without_words_are_near_to_nothing() -> None:
    copies = Copies([((), ()), ((), ("a", "b"))], ["x", "y"])
    assert (list(copies.near(())), list(copies.near(("a", "b")))) == ([], [(1, 1.0)])
