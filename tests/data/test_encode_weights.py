"""Token weights stand on the supervised tokens they were given for, and on no others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.encode import Encoded, encode, encode_all
from forgetting.data.formatting import Formatting
from tests.data import tokenizers
from tests.data.tokenizers import CHATML, byte_level, with_template

PLAIN = Formatting(template="plain")


def qa(*weights: float, **more: object) -> Example:
    keys: dict = {"id": "q", "prompt": "Who?", "response": "Ada", "where": "facts.parquet, row 17"} | more
    return Example(token_weights=weights, **keys)


def document(text: str, *weights: float, **more: object) -> Example:
    return Example(id="d", response=text, form="text", token_weights=weights, **more)  # type: ignore[arg-type]


def one(example: Example, tokenizer: PreTrainedTokenizerBase | None = None, formatting: Formatting = PLAIN) -> Encoded:
    (encoded,) = encode_all([example], tokenizer or tokenizers.characters(), formatting)
    return encoded


def test_each_supervised_token_has_its_own_weight_the_end_too() -> None:
    encoded = one(qa(0.5, -1, 2, -3))
    assert encoded.ids == one(qa()).ids
    assert encoded.weights[-4:] == (0.5, -1.0, 2.0, -3.0) and not any(encoded.weights[:-4])


def test_with_a_chat_template_the_end_of_the_turn_has_weights_too() -> None:
    tokenizer = with_template(CHATML)
    places = len("Ada<|im_end|>")
    weights = [float(i + 1) for i in range(places)]
    encoded = one(qa(*weights), tokenizer, Formatting())
    assert [w for w in encoded.weights if w] == weights
    assert encoded.weights[-1] == places


def test_a_weight_of_0_is_not_supervised() -> None:
    encoded = one(qa(1, 0, -1, 0))
    assert encoded.supervised == 2 and encoded.weights[-4:] == (1, 0, -1, 0)
    assert encoded.target_ids == (encoded.ids[-4], encoded.ids[-2])


def test_they_multiply_the_example_s_weight() -> None:
    assert one(qa(1, -1, 0.5, 0, weight=-2.0)).weights[-4:] == (-2, 2, -1, 0)


def test_what_is_measured_is_every_token_of_the_response() -> None:
    example = qa(1, 0, -1, 0)
    assert encode(example, tokenizers.characters(), PLAIN) == one(qa())
    other = replace(example, response="Another answer")  # as evaluation does with paraphrases
    assert encode(other, tokenizers.characters(), PLAIN).supervised == len("Another answer") + 1


def test_a_cut_row_takes_weights_of_the_whole_text_or_of_what_is_left() -> None:
    cut = Formatting(template="plain", max_length=len("Question: Who?\nAnswer: ") + 2)
    for weights in ((1, -1, 2, -2), (1, -1)):
        encoded = one(qa(*weights), formatting=cut)
        assert encoded.truncated and encoded.weights[-2:] == (1, -1)


@pytest.mark.parametrize("given", [1, 3, 5])
def test_another_number_of_weights_names_the_row_and_both_numbers(given: int) -> None:
    cut = Formatting(template="plain", max_length=len("Question: Who?\nAnswer: ") + 2)
    message = rf"^facts\.parquet, row 17: has {given} token_weights, but its text has 4 supervised tokens"
    for formatting, more in ((PLAIN, "; "), (cut, r" \(2 within format.max_length=25\); ")):
        with pytest.raises(DataError, match=message + more) as raised:
            one(qa(*[1.0] * given), formatting=formatting)
        assert "\n" not in str(raised.value)


def test_weights_of_another_tokenizer_are_refused() -> None:
    plain = one(qa())
    assert one(qa(1, 1, 1, 1, target_ids=plain.target_ids)) == plain
    with pytest.raises(
        DataError,
        match=r"^facts\.parquet, row 17: was scored with another tokenizer: its target_ids .*; score it again",
    ):
        one(qa(1, 1, 1, 1, target_ids=(9, 9, 9, 9)))
    cut = Formatting(template="plain", max_length=len("Question: Who?\nAnswer: ") + 2)
    assert one(qa(1, -1, target_ids=plain.target_ids[:2]), formatting=cut).weights[-2:] == (1, -1)


@pytest.mark.parametrize("tokenizer", [tokenizers.characters(), byte_level()], ids=["characters", "bytes"])
@settings(deadline=None, max_examples=40)
@given(length=st.integers(2, 50), longest=st.integers(2, 15), seed=st.integers(0, 5))
def test_the_windows_of_a_document_have_the_weights_of_the_whole(
    tokenizer: PreTrainedTokenizerBase, length: int, longest: int, seed: int
) -> None:
    body = "".join(chr(97 + (i * i) % 26) for i in range(length))
    whole = one(document(body), tokenizer)
    weights = [float((i * 7 + seed) % 5 - 2) for i in range(whole.supervised)]
    if not any(weights):
        return
    windows = encode_all([document(body, *weights)], tokenizer, Formatting(max_length=longest))
    plain = encode_all([document(body)], tokenizer, Formatting(max_length=longest))
    by_key = {w.key: w for w in windows}
    found: list[float] = []
    for row in plain:
        same = by_key.get(row.key, replace(row, weights=(0.0,) * len(row.ids)))
        assert same.ids == row.ids
        found += [w for w, supervised in zip(same.weights, row.weights, strict=True) if supervised]
    assert found == weights
    assert all(row.supervised for row in windows)


def test_a_window_or_row_with_nothing_supervised_is_left_out() -> None:
    tokenizer, formatting = tokenizers.characters(), Formatting(template="plain", max_length=30)
    body = "x" * 80
    supervised = one(document(body), tokenizer).supervised
    weights = [1.0] * 5 + [0.0] * 60 + [1.0] * (supervised - 65)
    rows = encode_all([document(body, *weights), qa(0, 0, 0, 0, id="none"), qa()], tokenizer, formatting)
    assert [row.key for row in rows] == ["d", "d#3", "q"]


def test_rows_that_are_all_without_supervision_are_an_error() -> None:
    with pytest.raises(DataError, match=r"facts\.parquet, row 17: all its token_weights are 0, as in every other row"):
        encode_all([qa(0, 0, 0, 0), qa(0, 0, 0, 0)], tokenizers.characters(), PLAIN)
    assert encode_all([], tokenizers.characters(), PLAIN) == []


def test_a_verbatim_sequence_has_weights_after_its_first_token() -> None:
    example = Example(id="t", response="4 5 6", form="tokens", token_ids=(4, 5, 6), token_weights=(1, -1))
    assert one(example).weights == (0, 1, -1)
    beginning = document("abcdef", 1, -1, max_tokens=3)
    assert one(beginning).weights == (0, 1, -1)
