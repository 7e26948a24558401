import pytest

from forgetting.metrics.per_example import mean
from forgetting.metrics.text import exact_match, normalized, rouge_l, rouge_l_f1, rouge_l_recall
from tests.golden import golden
from tests.metrics.making import record


def test_rouge_is_that_of_duets_published_logs():
    entries = golden("duet_rouge")["entries"]
    assert len(entries) == 10
    for entry in entries:
        found = rouge_l(entry["ground_truth"], entry["generation"])
        assert found.recall == pytest.approx(entry["logged"]["rougeL_recall"], abs=1e-9)
        assert found.f1 == pytest.approx(entry["logged"]["rougeL_f1"], abs=1e-9)


def test_recall_and_f1_by_hand():
    # answer: the|quick|brown|fox, generation: quick|red|fox; common in order: quick, fox.
    # recall 2/4, precision 2/3, F1 = 2 * (1/2) * (2/3) / (1/2 + 2/3) = 4/7
    said = record("a", answer="The quick brown fox.", generation="quick red fox")
    assert rouge_l_recall.value_of(said) == pytest.approx(1 / 2)
    assert rouge_l_f1.value_of(said) == pytest.approx(4 / 7)


def test_words_are_stemmed():
    assert rouge_l("running dogs", "run dog").recall == 1.0


def test_a_model_that_says_nothing_scores_0_and_one_that_was_not_asked_is_missing():
    silent, unasked = record("a", generation=""), record("b", generation=None)
    for what in (rouge_l_recall, rouge_l_f1, exact_match):
        assert what.value_of(silent) == 0.0
        assert what.value_of(unasked) is None


def test_an_answer_in_a_script_that_rouge_does_not_read_is_missing():
    said = record("a", answer="北京", generation="北京")
    assert rouge_l_recall.value_of(said) is None
    assert rouge_l_f1.value_of(said) is None
    assert exact_match.value_of(said) == 1.0


@pytest.mark.parametrize(
    ("generation", "answer", "same"),
    [
        ("Paris", "Paris", True),
        ("  paris.\n", "Paris", True),
        ("NEW   YORK\tCITY!?", "New York City", True),
        ("Straße", "STRASSE", True),
        ("It is Paris", "Paris", False),
        ("Paris. It is large.", "Paris", False),
        ("C", "C++", False),
        ("3.14", "3.1", False),
        ("?", "!", False),
    ],
)
def test_exact_match_ignores_case_spacing_and_final_punctuation_only(generation, answer, same):
    assert exact_match.value_of(record("a", answer=answer, generation=generation)) == float(same)


def test_normalising_twice_changes_nothing():
    for text in ("  A  b . ", "x!!", "...", ""):
        assert normalized(normalized(text)) == normalized(text)


def test_there_is_no_match_with_no_answer():
    assert exact_match.value_of(record("a", answer=" ", generation="")) is None


@pytest.mark.parametrize("what", [rouge_l_recall, rouge_l_f1, exact_match], ids=lambda what: what.name)
def test_a_split_without_generations_is_absent_with_its_reason(what):
    [found] = mean(what, ["forget"], "up")({"forget": [record("a"), record("b")]}, None)
    assert (found.value, found.count) == (None, 0)
    assert found.reason.startswith("none of the 2 records of split 'forget' has a generated answer")
