import unicodedata

import pytest
from rouge_score.rouge_scorer import RougeScorer

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


@pytest.mark.parametrize(
    ("answer", "generation", "recall", "f1"),
    [
        # eleven words: ten characters and a number, of which 1969, 他 and 于 stand in the other in this order
        ("他于1969年出生于科威特城。", "1969年他死于巴黎。", 3 / 11, 1 / 3),
        ("Он родился в 1969 году в Кувейте.", "Это случилось в 1969 в Париже.", 3 / 7, 6 / 13),
        ("他是 Basil 的父亲，一名医生。", "Basil 是一只狗。", 1 / 5, 4 / 15),
        ("北京", "北京", 1.0, 1.0),
        ("กรุงเทพ", "เมืองอื่น", 1 / 6, 1 / 6),
        ("हिन्दी में काम", "हिन्दी में घर", 2 / 3, 2 / 3),
        ("رقم ١٢ في القاهرة", "رقم 12", 1 / 2, 2 / 3),  # an Arabic digit is a digit
        ("Ａｄａ 1969", "Bob 1969", 1 / 2, 1 / 2),  # letters of full width
        ("Basil", "Basil 是一只狗", 1.0, 1 / 3),  # the recall of a Latin answer is the published one
    ],
)
def test_an_answer_in_another_script_is_compared_over_all_its_words(answer, generation, recall, f1):
    found = rouge_l(answer, generation)
    assert (found.recall, found.f1) == pytest.approx((recall, f1))


LATIN = (
    ("Das Café Müller in Köln", "Das Café in Köln"),
    ("She doesn't know; 3.14 of Łódź", "she does know 3 14 Łódź?"),
    ("La Señora àéî vive en São Paulo", "vive en Sao Paulo à"),
    ("5 µm — “quoted” tests, running", "5 um quoted test runs"),
)


@pytest.mark.parametrize(("answer", "generation"), LATIN)
def test_latin_texts_keep_the_published_score_to_the_bit(answer, generation):
    published = RougeScorer(["rougeL"], use_stemmer=True).score(answer, generation)["rougeL"]
    assert rouge_l(answer, generation) == (published.recall, published.fmeasure)


def test_composed_and_decomposed_characters_are_the_same_answer():
    for text in ("Café Müller", "हिन्दी ड़", "한국어", "Đà Nẵng"):
        other = unicodedata.normalize("NFD", text)
        assert rouge_l(text, other) == rouge_l(other, text) == (1.0, 1.0)
        assert exact_match.value_of(record("a", answer=text, generation=other)) == 1.0


def test_how_many_answers_the_tokenizer_sees_otherwise_is_counted_and_said():
    pairs = [("Paris", "Paris"), ("北京", "北京"), ("Łódź", "x"), ("Москва", "?"), ("a", None)]
    records = [record(str(i), answer=a, generation=g) for i, (a, g) in enumerate(pairs)]
    [found] = mean(rouge_l_recall, ["forget"], "up")({"forget": records}, None)
    assert found.count == 4
    assert "2 of 4 answers hold another script than Latin" in found.meaning
    assert "1 of 4 answers hold letters beyond a-z" in found.meaning
    [plain] = mean(rouge_l_recall, ["forget"], "up")({"forget": records[:1]}, None)
    assert plain.meaning == rouge_l_recall.meaning


def test_an_answer_without_a_letter_or_digit_is_missing():
    assert rouge_l("…!", "x") is None and rouge_l("。", "北京") is None


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
        ("القاهرة؟", "القاهرة", True),
        ("दिल्ली।", "दिल्ली", True),
        ("istanbul", "İstanbul", True),
        ("ılık", "ilik", False),
        ("x²", "x2", False),
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
