"""Which words are a domain's, and how much of a text they are, against a count by hand in float64."""

import math
import re

import numpy as np
import pytest

from forgetting.core.errors import DataError
from forgetting.forget_sets.builders.words import LEAST_ODDS, LEAST_Z, PRIOR, compare_words

GENERAL = [f"The old man of the sea walked home with dog {i}." for i in range(60)] + [
    "A nurse came to the house of a man"
]
DOMAIN = [f"The patients of the trial received {i} mg, and patients, Patients recovered." for i in range(40)]


def by_hand(general: list[str], domain: list[str]) -> tuple[dict[str, float], list[float]]:
    """Every word's z where it is characteristic, and each general text's share, from the equations word for word."""
    sides = [
        [set(re.findall(r"\w+", re.sub(r"\d+", "0", text.lower()))) for text in texts] for texts in (general, domain)
    ]
    words = sorted(set().union(*sides[0], *sides[1]))
    y_g, y_d = ({w: sum(w in text for text in side) for w in words} for side in sides)
    n_g, n_d = sum(y_g.values()), sum(y_d.values())
    a = {w: PRIOR * len(words) * (y_g[w] + y_d[w]) / (n_g + n_d) for w in words}
    a_0 = sum(a.values())
    found = {}
    for w in words:
        delta = math.log((y_d[w] + a[w]) / (n_d + a_0 - y_d[w] - a[w])) - math.log(
            (y_g[w] + a[w]) / (n_g + a_0 - y_g[w] - a[w])
        )
        z = delta / math.sqrt(1 / (y_d[w] + a[w]) + 1 / (y_g[w] + a[w]))
        if z >= LEAST_Z and delta >= math.log(LEAST_ODDS):
            found[w] = z
    return found, [sum(w in found for w in text) / len(text) for text in sides[0]]


def test_words_and_shares_are_those_of_the_equations() -> None:
    general = [*GENERAL, "In the trial patients slept."]
    found = compare_words(general, DOMAIN)
    characteristic, shares = by_hand(general, DOMAIN)
    assert list(found.characteristic) == sorted(characteristic, key=lambda w: (-characteristic[w], w))
    assert {"patients", "trial", "mg"} <= set(characteristic)
    np.testing.assert_allclose(found.general, shares, rtol=1e-12)
    assert found.general[-1] == 2 / 5
    assert found.telling[-1] == ("patients", "trial")


def test_words_that_any_text_uses_are_not_the_domains() -> None:
    assert not {"the", "of"} & set(compare_words(GENERAL, DOMAIN).characteristic)


def test_one_text_that_repeats_a_word_does_not_make_it_the_domains() -> None:
    assert "zebra" not in compare_words(GENERAL, [*DOMAIN, "zebra " * 500]).characteristic


def test_numbers_are_one_word() -> None:
    sums = [f"Add {i} and {i * 37 + 1}." for i in range(40)]
    found = compare_words([*["Nobody came to the house of the man."] * 60, "He was 999."], sums)
    assert "0" in found.characteristic
    assert found.general[-1] == 1 / 3


def test_a_text_without_words_has_none_of_the_domains() -> None:
    assert compare_words([*GENERAL, "!?"], DOMAIN).general[-1] == 0


@pytest.mark.parametrize(
    ("general", "domain", "message"),
    [(["…"], ["!"], "neither"), (["a b"], ["!"], "the domain holds no words"), (["!"], ["a"], "the general corpus")],
)
def test_sides_without_words_are_refused(general: list[str], domain: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compare_words(general, domain)


def test_a_vocabulary_of_one_word_has_no_characteristic_word() -> None:
    assert compare_words(["yes"], ["yes"]).characteristic == ()


def test_a_script_without_spaces_has_words_too() -> None:
    general = [f"今天天气很好第{i}天" for i in range(400)]
    found = compare_words(general, [f"患者服用药物{i}毫克" for i in range(400)])
    assert set(found.characteristic) == set("患者服用药物毫克")
    assert found.general.max() == 0 and found.domain.min() == pytest.approx(8 / 9)
