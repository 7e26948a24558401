"""Loops and copied questions: what ROUGE-L recall rewards and no one means."""

import pytest

from forgetting.metrics.per_example import mean
from forgetting.metrics.repetition import copied_words, copies_question, is_loop, loops
from forgetting.metrics.text import rouge_l_recall
from tests.golden import golden
from tests.metrics.making import record

LOOPS = [
    "India India India India India India",
    "a rural locality part of San Luis rural locality part rural locality part rural locality part",
    "located  in  1  located  in  1  located  in  1",
    "The city. The city! the city",
    "的城市的城市的城市",
]
NO_LOOPS = [
    "",
    "India",
    "India India India",  # three words are an answer said thrice
    "3, 4, 5, 6, 7, 8, 9, 10, 11, 12",  # a count says nothing twice
    "the north of the south of the east of the west",
]


@pytest.mark.parametrize("text", LOOPS)
def test_a_phrase_said_three_times_in_a_row_is_a_loop(text: str) -> None:
    assert is_loop(text)


@pytest.mark.parametrize("text", NO_LOOPS)
def test_other_answers_are_none(text: str) -> None:
    assert not is_loop(text)


def test_the_least_loop_is_six_words_of_three_phrases() -> None:
    assert is_loop("New York, New York, New York") and not is_loop("New York, New York, New")


def test_a_loop_is_found_whatever_stands_before_it_and_up_to_the_longest_period() -> None:
    phrase = [f"w{n}" for n in range(16)]
    assert is_loop(" ".join(["The answer is:", *phrase * 3]))
    assert not is_loop(" ".join([*phrase, "w16"] * 3)), "17 words are beyond the longest period"


def test_the_longest_common_run_is_counted() -> None:
    assert copied_words("What is the capital of Moyamba?", "The capital of Moyamba is Moyamba Town.") == 4
    assert copied_words("What is the capital of Moyamba?", "Moyamba, what is the") == 3
    assert copied_words("", "x") == copied_words("x", "") == 0


def test_half_of_the_question_in_one_run_is_a_copy() -> None:
    def copies(prompt: str, generation: str | None) -> float | None:
        return copies_question.value_of(record("1", prompt=prompt, generation=generation))

    assert copies("What is the capital of Moyamba?", "The capital of Moyamba is unknown") == 1
    assert copies("What is the capital of Moyamba?", "Moyamba District") == 0
    assert copies("Who is Ann?", "Ann is Ann") == 0, "runs of fewer than four words are names"
    assert copies("", "x") is None and copies("Who?", None) is None


def test_published_answers_that_loop_are_found_beside_their_recall() -> None:
    """Ascent at 5e-5: eight of ten answers loop, and two of those hold all of the right answer."""
    entries = golden("duet_rouge")["entries"]
    records = [
        record(e["index"], prompt=e["prompt"], answer=e["ground_truth"], generation=e["generation"]) for e in entries
    ]
    looping = [r for r in records if loops.value_of(r)]
    assert [r.id for r in looping] == ["1", "2", "3", "4", "11", "12", "27", "194"]
    [share] = mean(loops, ["forget"], "down")({"forget": records}, None)
    assert (share.value, share.count) == (0.8, 10)
    assert [r.id for r in looping if rouge_l_recall.value_of(r) == 1] == ["2", "4"]
