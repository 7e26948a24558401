"""What is corrupted is a stated share, in stated ways, and exactly what is marked is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message
from forgetting.data.encode import Encoded, encode, encode_all
from forgetting.data.examples import load_examples, to_example
from forgetting.data.formatting import Formatting
from forgetting.data.noise import KINDS, PHRASES, as_row, corrupted, noise_counts, noise_labels, noise_spans
from forgetting.data.source import Source
from tests.data import tokenizers
from tests.data.tokenizers import CHATML, Slow, with_template

PLAIN = Formatting(template="plain")
WORDS = ["red", "green", "blue", "black", "white", "grey", "pink", "gold", "brown", "violet"]


def qa(number: int, response: str, **more: object) -> Example:
    return Example(id=f"e{number}", prompt=f"Question {number}?", response=response, **more)  # type: ignore[arg-type]


def sentences(count: int = 60) -> list[Example]:
    return [
        qa(
            n,
            f"Colour {n} is {WORDS[n % 10]} and the code is {n * 37 % 101}. It was seen in {1900 + n}.",
            kind=str(n % 3),
        )
        for n in range(count)
    ]


def marked(example: Example) -> list[str]:
    return [example.response[start:stop] for start, stop, _ in noise_spans(example)]


def only(response: str, kind: str, *others: str, seed: int = 0) -> Example:
    """One response corrupted in one way, the only one of a set of answers of one kind."""
    examples = [qa(0, response), *(qa(n, other) for n, other in enumerate(others, 1))]
    for tried in range(seed, seed + 100):
        noisy = corrupted(examples, share=1 / len(examples), kinds=[kind], seed=tried)
        if noise_spans(noisy[0]):
            return noisy[0]
    raise AssertionError("never drawn")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_stated_share_is_corrupted_and_the_rest_is_as_it_was(share: float) -> None:
    examples = sentences()
    noisy = corrupted(examples, share=share, seed=1)
    changed = [new.response != old.response for new, old in zip(noisy, examples, strict=True)]
    assert changed == [bool(noise_spans(example)) for example in noisy]
    assert sum(changed) == round(share * len(examples))
    assert [replace(n, response=o.response, fields=o.fields) for n, o in zip(noisy, examples, strict=True)] == examples
    assert all("noise" in example.fields for example in noisy)


def test_the_ways_are_spread_evenly() -> None:
    assert noise_counts(corrupted(sentences(), share=0.5, seed=3)) == dict.fromkeys(KINDS, 10)


def test_an_answer_too_short_to_be_shuffled_gets_the_way_used_least() -> None:
    single = [qa(n, f"{word}.") for n, word in enumerate(WORDS * 3)]
    assert noise_counts(corrupted(single, share=1.0, seed=0)) == {"wrong_answer": 15, "boilerplate": 15}


def test_one_seed_gives_one_corruption_and_a_larger_share_adds_to_it() -> None:
    examples = sentences()
    little, much = (corrupted(examples, share=share, seed=5) for share in (0.2, 0.6))
    assert little == corrupted(examples, share=0.2, seed=5)
    assert little != corrupted(examples, share=0.2, seed=6)
    assert all(small == large for small, large in zip(little, much, strict=True) if noise_spans(small))


def test_a_wrong_answer_is_that_of_another_example_of_the_same_kind() -> None:
    examples = [qa(n, word, kind="colour") for n, word in enumerate(WORDS)]
    examples += [qa(n + 10, str(1950 + n), kind="year") for n in range(10)]
    for new, old in zip(corrupted(examples, share=1.0, kinds=["wrong_answer"]), examples, strict=True):
        assert new.response != old.response
        assert new.response in {e.response for e in examples if e.kind == old.kind}


@pytest.mark.parametrize(
    ("truth", "other", "wrong", "span"),
    [
        ("Paris.", "Rome.", "Rome.", "Rome"),
        ("1945", "1952", "1952", "52"),
        ("New York.", "New Haven City.", "New Haven City.", "Haven City"),
        ("It is so. The answer is 12.", "Surely not. The answer is 17!", "It is so. The answer is 17!", "7!"),
        ("One line.\n#### 42\n", "Another\n#### 57", "One line.\n#### 57\n", "57"),
        ("  padded ", "other", "  other ", "other"),
        ("the port", "the airport", "the airport", "airport"),
    ],
)
def test_of_a_long_answer_the_last_line_or_sentence_is_replaced_and_what_is_right_of_it_is_not_marked(
    truth: str, other: str, wrong: str, span: str
) -> None:
    noisy = only(truth, "wrong_answer", other)
    assert (noisy.response, marked(noisy)) == (wrong, [span])


def test_an_ending_that_is_missing_is_no_wrong_answer() -> None:
    with pytest.raises(DataError, match="only 1 of 2 answers can be corrupted by wrong_answer"):
        corrupted([qa(0, "New York City"), qa(1, "New York")], share=1.0, kinds=["wrong_answer"])


def test_boilerplate_stands_before_or_behind_the_answer_and_is_marked_alone() -> None:
    seen = set()
    for seed in range(20):
        noisy = only(" The truth.\n", "boilerplate", "other", seed=seed * 7)
        phrase = marked(noisy)[0]
        assert phrase in PHRASES
        assert noisy.response in (f" {phrase} The truth.\n", f" The truth. {phrase}\n")
        seen.add(noisy.response.startswith(f" {phrase}"))
    assert seen == {True, False}


def test_shuffled_words_are_the_same_words_and_what_stays_in_place_is_not_marked() -> None:
    truth = "one two three four five six seven eight nine ten eleven twelve"
    lengths = set()
    for seed in range(0, 60, 3):
        noisy = only(truth, "shuffled", "a b", seed=seed)
        ((start, stop, _),) = noise_spans(noisy)
        assert sorted(noisy.response.split()) == sorted(truth.split())
        assert noisy.response[:start] + noisy.response[stop:] == truth[:start] + truth[stop:]
        assert noisy.response[start:stop] != truth[start:stop]
        lengths.add(len(noisy.response[start:stop].split()))
    assert max(lengths) <= 6, "at most half of a long answer"


def test_shuffling_keeps_the_lines_and_takes_a_short_answer_whole() -> None:
    assert only("up\n  down", "shuffled", "a b").response == "down\n  up"
    with pytest.raises(DataError, match="only 0 of 2"):
        corrupted([qa(0, "same same same same"), qa(1, "one")], share=0.5, kinds=["shuffled"])


@pytest.mark.parametrize(
    ("examples", "settings", "message"),
    [
        ([qa(0, "a b")], {"share": 1.5}, "share is 1.5; give a number from 0 to 1"),
        (
            [qa(0, "a b")],
            {"share": 1.0, "kinds": ["shufled"]},
            "unknown kind of noise 'shufled'; did you mean 'shuffled'",
        ),
        ([qa(0, "a b")], {"share": 1.0, "kinds": []}, "name at least one"),
        ([qa(0, "a b", where="f:3", fields={"noise": [[0, 1, "x"]]})], {"share": 0.0}, "f:3: is corrupted already"),
        ([Example(id="t", response="1 2", form="tokens", token_ids=(1, 2))], {"share": 0.0}, "t: is token ids"),
        ([qa(0, "a b", token_weights=(1.0, -1.0))], {"share": 0.0}, "e0: has token weights"),
    ],
)
def test_what_cannot_be_corrupted_is_said(examples: list[Example], settings: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        corrupted(examples, **settings)


@pytest.mark.parametrize("value", ["x", 3, [[0, 1]], [[0, 99, "x"]], [[2, 2, "x"]], [["0", "1", "x"]], [[0, 1, 2]]])
def test_a_noise_column_that_is_none_is_named(value: object) -> None:
    with pytest.raises(DataError, match=r"f:3: the noise is .* write a list of \[start, stop, kind\] within"):
        noise_spans(qa(0, "short", where="f:3", fields={"noise": value}))


def test_rows_are_read_back_as_they_were(tmp_path: Path) -> None:
    examples = [
        *corrupted(sentences(9), share=0.5),
        qa(20, "x", context=(Message("user", "Hi"), Message("assistant", "Ho")), fields={"noise": []}),
        qa(21, "x", perturbed=("y",), popularity=3.0, group="g", weight=-2.0, paraphrased="z", fields={"more": [1]}),
        Example(id="d", form="text", response="A document.", fields={"noise": [[0, 1, "shuffled"]]}),
    ]
    file = tmp_path / "noisy.jsonl"
    file.write_text("".join(json.dumps(as_row(example)) + "\n" for example in examples))
    for read, written in zip(load_examples(Source(path=str(file))), examples, strict=True):
        assert {k: v for k, v in read.fields.items() if k != "id"} == dict(written.fields)
        assert replace(read, where="", fields={}) == replace(written, fields={})
        assert noise_spans(read) == noise_spans(written)


def labelled(example: Example, encoded: Encoded, tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> str:
    """What the noisy tokens say."""
    labels = noise_labels(example, encoded, tokenizer, formatting)
    supervised = [i for i, w in zip(encoded.ids, encoded.weights, strict=True) if w]
    assert labels.dtype == np.bool_
    assert len(labels) == len(supervised)
    ids = [i for i, noisy in zip(supervised, labels, strict=True) if noisy]
    if getattr(tokenizer.backend_tokenizer, "decoder", None) is None:
        return "".join(tokenizer.convert_ids_to_tokens(ids))
    return tokenizer.decode(ids)


def spanned(response: str, wrong: str, **more: object) -> Example:
    start = response.index(wrong)
    return qa(0, response, fields={"noise": [[start, start + len(wrong), "wrong_answer"]]}, **more)


@pytest.mark.parametrize(
    "tokenizer",
    [
        tokenizers.characters(),
        with_template(CHATML),
        with_template("{% for m in messages %} {{ m.content }} {% endfor %}"),
    ],
)
@pytest.mark.parametrize("response", ["It is bad here.", "  It is bad here.\n", "bad", "so bad "])
def test_exactly_the_characters_of_the_spans_are_noisy_whatever_the_template(
    tokenizer: PreTrainedTokenizerBase, response: str
) -> None:
    example = spanned(response, "bad")
    encoded = encode(example, tokenizer, Formatting())
    assert labelled(example, encoded, tokenizer, Formatting()) == "bad"
    assert not noise_labels(replace(example, fields={}), encoded, tokenizer, Formatting()).any()


@pytest.mark.parametrize("trim", [True, False])
def test_a_token_is_noisy_if_it_holds_a_character_of_a_span(trim: bool) -> None:
    tokenizer = tokenizers.byte_level(bos=True, eos=True, trim=trim)
    for wrong in ("Paris", "aris", "in Paris", "München", "ü"):
        example = spanned("It is in Paris not München.", wrong)
        encoded = encode(example, tokenizer, PLAIN)
        said = labelled(example, encoded, tokenizer, PLAIN)
        assert wrong in said
        assert len(said) <= len(wrong) + 12, "at most the rest of the first and the last token"


def test_the_end_token_and_zero_weights_are_not_noisy_tokens() -> None:
    tokenizer = tokenizers.characters()
    example = spanned("ab bad", "bad")
    encoded = encode(example, tokenizer, PLAIN)
    assert noise_labels(example, encoded, tokenizer, PLAIN).tolist() == [False] * 3 + [True] * 3 + [False]
    weights = (*encoded.weights[:-3], 0.0, -1.0, encoded.weights[-1])
    selected = replace(encoded, weights=weights)
    assert noise_labels(example, selected, tokenizer, PLAIN).tolist() == [False] * 3 + [True] * 2 + [False]


def test_an_answer_cut_at_the_longest_row_is_labelled_as_far_as_it_goes() -> None:
    tokenizer = tokenizers.characters()
    example = spanned("ab bad", "bad")
    formatting = PLAIN.model_copy(update={"max_length": len(encode(example, tokenizer, PLAIN).ids) - 2})
    assert labelled(example, encode(example, tokenizer, formatting), tokenizer, formatting) == "ba"


def test_each_window_of_a_document_is_labelled_by_its_own_place() -> None:
    tokenizer = tokenizers.characters()
    text = "".join(chr(97 + n % 26) for n in range(50))
    example = Example(id="doc", form="text", response=text, fields={"noise": [[18, 35, "shuffled"]]})
    formatting = Formatting(max_length=10)
    windows = encode_all([example], tokenizer, formatting)
    assert len(windows) > 4
    assert "".join(labelled(example, window, tokenizer, formatting) for window in windows) == text[18:35]


def test_tokens_of_another_text_or_of_no_offsets_are_refused() -> None:
    tokenizer = tokenizers.characters()
    example = spanned("ab bad", "bad", where="f:3")
    with pytest.raises(DataError, match="f:3: these tokens are not its own"):
        noise_labels(example, encode(qa(0, "something else"), tokenizer, PLAIN), tokenizer, PLAIN)
    with pytest.raises(DataError, match="f:3: noise is found by offsets"):
        noise_labels(example, Encoded("e0", (1,), (1.0,)), Slow(), PLAIN)


def test_a_noise_column_becomes_a_field() -> None:
    row = {"prompt": "p", "response": "r", "noise": [[0, 1, "shuffled"]]}
    assert to_example(row, "f:1", Source(path="f")).fields["noise"] == [[0, 1, "shuffled"]]


def test_a_chinese_answer_is_shuffled_and_replaced_like_any_other() -> None:
    noisy = only("他出生于科威特城", "shuffled", "他是一名医生")
    assert sorted(noisy.response) == sorted("他出生于科威特城") and noisy.response != "他出生于科威特城"
    noisy = only("他是医生。他住在东京。", "wrong_answer", "她是老师。她住在巴黎。")
    assert noisy.response == "他是医生。她住在巴黎。"
    assert marked(noisy) == ["她住在巴黎"]


def test_spans_that_a_table_program_wrote_as_text_are_spans() -> None:
    for text in ("[[0, 3, 'shuffled']]", '[[0, 3, "shuffled"]]'):
        assert [tuple(s) for s in noise_spans(qa(0, "abcdef", fields={"noise": text}))] == [(0, 3, "shuffled")]
