import random
import re

import numpy as np
import pytest

from forgetting.core.errors import RecipeError
from forgetting.metrics.dialogue import dialogue_f1, dialogue_metrics, next_turn, word_f1, words
from forgetting.metrics.score import score
from tests.metrics.making import record

VOCABULARY = ["the", "The", "a", "an", "cat", "cat,", "Cat!", "sat", "on", "mat.", "don't", "'", "b-c", "theme", "A."]


def by_hand(answer: str, generation: str) -> float:
    """F1 = 2pr / (p + r), shared words counted by crossing them off one by one."""

    def plain(text: str) -> list[str]:
        letters = "".join(" " if re.match(r"[!-/:-@\[-`{-~]", c) else c for c in text.lower())
        return [word for word in letters.split() if word not in ("a", "an", "the")]

    right, said = plain(answer), plain(generation)
    left, shared = list(right), 0
    for word in said:
        if word in left:
            left.remove(word)
            shared += 1
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(right)
    return 2 * precision * recall / (precision + recall)


def test_f1_is_the_definition():
    draw = random.Random(0)
    for _ in range(500):
        answer, said = (" ".join(draw.choices(VOCABULARY, k=draw.randint(0, 8))) for _ in range(2))
        found = word_f1(answer, said)
        assert (found is None) == (not words(answer))
        assert found is None or found == pytest.approx(by_hand(answer, said), abs=1e-12)


def test_words_as_parlai_normalises_them():
    assert words("The cat's AN old theme; a_b, isn't it?") == ["cat", "s", "old", "theme", "b", "isn", "t", "it"]
    assert words(" ...the! ") == []


def test_a_word_said_twice_counts_as_often_as_it_is_right():
    # right: yes yes no (3 words), said: yes yes yes yes (4): shared 2, F1 = 2 * 2 / 7
    assert word_f1("Yes, yes, no.", "yes yes yes yes") == pytest.approx(4 / 7)


def test_what_the_model_goes_on_with_is_not_its_turn():
    assert next_turn("\n I do.\nUser 2: And you?") == "I do."
    assert dialogue_f1.value_of(record("a", answer="I do", generation="I do.\nUser 1: No no no")) == 1.0


def test_silence_scores_0_and_what_cannot_be_scored_is_missing():
    assert dialogue_f1.value_of(record("a", answer="Yes", generation="")) == 0.0
    assert dialogue_f1.value_of(record("a", answer="Yes", generation=None)) is None
    assert dialogue_f1.value_of(record("a", answer="?!", generation="Yes")) is None


def test_the_sets_count_alike_whatever_their_size():
    one = [record(f"{i}", "one", p=0.5, answer="x", generation="x") for i in range(2)]
    two = [record(f"{i}", "two", p=0.25, answer="x", generation="x" if i < 2 else "y") for i in range(8)]
    found = {m.key: m for m in score(dialogue_metrics(["one", "two"]), [*one, *two])}
    assert (found["one/dialogue_f1"].value, found["two/dialogue_f1"].value) == (1.0, 0.25)
    mean = found["all/dialogue_f1"]
    assert (mean.value, mean.count) == (0.625, 10)
    assert mean.low < 0.625 < mean.high
    assert found["one/perplexity"].value == pytest.approx(2)


def test_the_interval_of_the_mean_is_that_of_independent_sets():
    draw = np.random.default_rng(0)
    records, variance = [], 0.0
    for split in ("one", "two", "three"):
        values = draw.integers(0, 2, 200)
        variance += values.var() / len(values) / 9
        records += [record(f"{i}", split, answer="x", generation="x" if v else "y") for i, v in enumerate(values)]
    (mean,) = [m for m in score(dialogue_metrics(["one", "two", "three"]), records) if m.split == "all"]
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.1)


def test_a_set_of_which_little_is_written_is_known_as_badly_as_of_little():
    written = [record(f"{i}", "one", answer="x", generation="x y" if i % 2 else "x") for i in range(6)]
    silent = [record(f"{i}", "one", answer="x", generation=None) for i in range(6, 60)]
    [alone] = [m for m in score(dialogue_metrics(["one"]), written) if m.split == "all"]
    [among] = [m for m in score(dialogue_metrics(["one"]), [*written, *silent]) if m.split == "all"]
    assert (among.value, among.count) == (alone.value, alone.count)
    assert among.high - among.low >= 0.9 * (alone.high - alone.low)
    [one] = [m for m in score(dialogue_metrics(["one"]), [written[0], *silent]) if m.split == "all"]
    assert (one.value, one.low, one.high) == (1.0, None, None)


def test_a_set_that_is_missing_leaves_no_mean():
    found = score(dialogue_metrics(["one", "two"]), [record("a", "one", p=0.5, answer="x", generation="x")])
    (mean,) = [m for m in found if m.key == "all/dialogue_f1"]
    assert mean.value is None and mean.reason == "no records of split 'two'"


def test_a_mean_of_no_sets_is_refused():
    with pytest.raises(RecipeError, match="name at least one"):
        dialogue_metrics([])


@pytest.mark.parametrize(
    ("answer", "generation", "f1"),
    [
        ("他出生于科威特。", "他出生于巴黎", 2 * 4 / (7 + 6)),
        ("Где ты? Дома.", "Дома ли ты", 4 / 6),
        ("أين أنت؟", "أين أنت", 1.0),
        ("Café", "Cafe\u0301", 1.0),
    ],
)
def test_turns_in_another_script_are_compared_over_all_their_words(answer, generation, f1):
    assert word_f1(answer, generation) == pytest.approx(f1)
    [found] = dialogue_metrics(["d"])[0]({"d": [record("a", answer=answer, generation=generation)]}, None)
    assert ("1 of 1 answers hold another script" in found.meaning) == (answer != "Café")
