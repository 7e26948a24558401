"""Names and numbers of questions and answers."""

from forgetting.data.name_phrases import name_phrases


def names(*pairs: tuple[str, str]) -> list[tuple[list[str], list[str]]]:
    found = name_phrases(pairs, lambda text: tuple(text.split()))
    return [([" ".join(p) for p in one], [" ".join(p) for p in other]) for one, other in found]


def test_capitals_that_follow_each_other_are_one_name() -> None:
    assert names(("Did Tess Doyle leave Kilmore?", "She left with Ann.")) == [(["Tess Doyle", "Kilmore"], ["Ann"])]


def test_a_number_has_three_characters_at_least() -> None:
    assert names(("", "it was 12 of 1987 in a42")) == [([], ["1987", "a42"])]


def test_the_first_word_is_a_name_only_if_it_is_one_inside_a_sentence_too() -> None:
    once = names(("", "Kilmore sleeps."))
    both = names(("We like Kilmore.", "Kilmore sleeps."))
    assert (once, both) == ([([], [])], [(["Kilmore"], ["Kilmore"])])


def test_a_word_that_is_also_small_is_no_name_at_the_start() -> None:
    assert names(("The May fair.", "May it rain, it may.")) == [(["May"], [])]


def test_a_decomposed_name_is_one_name() -> None:
    assert names(("", "it was Jose\u0301 Pe\u0301rez")) == [([], ["José Pérez"])]
