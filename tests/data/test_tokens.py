"""Token ids are data as they are; a verbatim sequence is read in one way, to train on and to measure."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.encode import encode, encode_all
from forgetting.data.examples import load_examples
from forgetting.data.formatting import Formatting
from forgetting.data.source import Source
from forgetting.data.tokens import response_text, sequence_ids
from forgetting.evaluation.extraction import MAX_TOKENS, verbatim
from tests.data import tokenizers
from tests.golden import REAL_DATA, needs
from tests.models.tiny import WORDS, tiny_tokenizer

TDEC = REAL_DATA / "tdec"
PLAIN = Formatting(template="plain")


def saved(path: Path, values: object) -> Path:
    np.save(path, values, allow_pickle=True)  # type: ignore[arg-type]
    return path


def ids_of(*ids: int, **more: object) -> Example:
    return Example(id="t", form="tokens", response="", token_ids=ids, where="f.npy, row 2", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint64", "int64"])
def test_an_array_gives_an_example_for_each_row(tmp_path: Path, dtype: str) -> None:
    ids = np.random.default_rng(0).integers(0, 50_000, (3, 12)).astype(dtype)
    prefix, suffix = saved(tmp_path / "p.npy", ids[:, :5]), saved(tmp_path / "s.npy", ids[:, 5:].astype("int64"))
    found = load_examples(Source.model_validate({"path": str(prefix), "suffix": str(suffix)}))
    assert [e.token_ids for e in found] == [tuple(row) for row in ids.tolist()]
    assert all(type(i) is int for e in found for i in e.token_ids)
    assert [(e.form, e.prompt, e.where) for e in found] == [("tokens", "", f"{prefix}, row {i}") for i in range(3)]
    assert found[1].response == " ".join(map(str, found[1].token_ids))


def test_a_packed_array_and_lines_of_ids_say_the_same(tmp_path: Path) -> None:
    rows = [[5, 6, 7], [8, 9, 10]]
    plain = saved(tmp_path / "a.npy", np.array(rows))
    (tmp_path / "b.npy.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"token_ids": row}) + "\n" for row in rows))
    sets = [load_examples(Source(path=str(tmp_path / name))) for name in ("a.npy", "b.npy.gz", "c.jsonl")]
    assert [[(e.id, e.token_ids) for e in found] for found in sets] == [[(e.id, e.token_ids) for e in sets[0]]] * 3


def test_a_limit_takes_the_first_rows_and_equal_rows_are_one(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.npy", np.array([[1, 2], [1, 2], [3, 4], [5, 6]]))
    assert [e.token_ids for e in load_examples(Source(path=str(file), limit=3))] == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([np.array([1, 2]), np.array([3])], dtype=object), r"rows of unequal length; .* \.jsonl"),
        (np.ones((2, 3)), "holds float64 numbers; token ids are whole numbers"),
        (np.ones((2, 3), dtype=bool), "holds bool numbers"),
        (np.ones(3, dtype=int), r"has the shape \[3\]"),
        (np.ones((2, 2, 2), dtype=int), r"has the shape \[2, 2, 2\]"),
        (np.ones((0, 50), dtype=int), r"has the shape \[0, 50\]; .* not empty"),
    ],
)
def test_what_is_no_array_of_ids_is_named(tmp_path: Path, values: object, message: str) -> None:
    file = saved(tmp_path / "bad.npy", values)
    with pytest.raises(DataError, match=message) as found:
        load_examples(Source(path=str(file)))
    assert str(found.value).startswith(str(file)) and "\n" not in str(found.value)


def test_files_that_do_not_match_or_are_none_are_named(tmp_path: Path) -> None:
    two, one = saved(tmp_path / "2.npy", np.ones((2, 3), int)), saved(tmp_path / "1.npy", np.ones((1, 3), int))
    with pytest.raises(DataError, match=r"1\.npy: has 1 rows, but .*2\.npy has 2"):
        load_examples(Source(path=str(two), suffix=str(one)))
    with pytest.raises(DataError, match=r"3\.npy: no such file"):
        load_examples(Source(path=str(two), suffix=str(tmp_path / "3.npy")))
    (tmp_path / "t.npy").write_text(json.dumps([[1]]))
    (tmp_path / "g.npy.gz").write_bytes(two.read_bytes())
    (tmp_path / "cut.npy").write_bytes(two.read_bytes()[:140])
    for name in ("t.npy", "g.npy.gz", "cut.npy"):
        with pytest.raises(DataError, match=rf"{name}: not an array"):
            load_examples(Source(path=str(tmp_path / name)))
    with pytest.raises(DataError, match="no such file; did you mean"):
        load_examples(Source(path=str(tmp_path / "21.npy")))


@pytest.mark.parametrize("ids", [[], [1.0, 2.0], [True, False], "1 2", [[1], [2]]])
def test_a_line_whose_ids_are_none_is_named(tmp_path: Path, ids: object) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"token_ids": ids}))
    with pytest.raises(DataError, match=r"a\.jsonl:1: the token_ids are .*, not a list of whole numbers"):
        load_examples(Source(path=str(tmp_path / "a.jsonl")))


def test_ids_are_encoded_as_they_are() -> None:
    encoded = encode(ids_of(7, 2, 9, 1, weight=-0.5), tiny_tokenizer(), PLAIN)
    assert encoded.ids == (7, 2, 9, 1), "no BOS, no EOS, and special ids stay"
    assert encoded.weights == (0.0, -0.5, -0.5, -0.5) and not encoded.truncated


def test_long_ids_are_cut_and_in_training_become_windows() -> None:
    short = Formatting(template="plain", max_length=4)
    example = ids_of(*range(3, 13))
    encoded = encode(example, tiny_tokenizer(), short)
    assert encoded.ids == (3, 4, 5, 6) and encoded.truncated
    assert [w.ids for w in encode_all([example], tiny_tokenizer(), short)] == [
        (3, 4, 5, 6),
        (6, 7, 8, 9),
        (9, 10, 11, 12),
    ]


@pytest.mark.parametrize("strange", [97, -1])
def test_an_id_outside_the_vocabulary_is_named_by_file_and_row(strange: int) -> None:
    with pytest.raises(DataError, match=rf"^f\.npy, row 2: token id {strange} is outside .* vocabulary of 97; "):
        encode(ids_of(3, strange, 4), tiny_tokenizer(), PLAIN)


def test_a_single_id_leaves_nothing_to_predict() -> None:
    with pytest.raises(DataError, match=r"^f\.npy, row 2: no supervised token is left"):
        encode(ids_of(3), tiny_tokenizer(), PLAIN)


def test_a_text_with_a_limit_ends_there_without_an_end_token() -> None:
    tokenizer = tiny_tokenizer()
    text = Example(id="x", form="text", response=" ".join(WORDS[:9]))
    whole = encode(text, tokenizer, PLAIN)
    assert whole.ids[-1] == tokenizer.eos_token_id
    assert encode(replace(text, max_tokens=9), tokenizer, PLAIN).ids == whole.ids[:-1]
    cut = encode(replace(text, max_tokens=5), tokenizer, PLAIN)
    assert cut.ids == whole.ids[:5] and not cut.truncated
    assert encode(ids_of(*whole.ids, max_tokens=5), tokenizer, PLAIN).ids == whole.ids[:5]


@pytest.mark.parametrize("with_bos", [False, True])
@pytest.mark.parametrize("words", [3, 30, 300])
def test_what_is_trained_on_is_what_is_extracted_token_for_token(words: int, with_bos: bool) -> None:
    tokenizer = tokenizers.byte_level() if with_bos else tiny_tokenizer()
    text = " ".join(WORDS[i % len(WORDS)] for i in range(words))
    own = Example(id="x", form="text", response=text, max_tokens=MAX_TOKENS)
    as_ids = Example(id="y", form="tokens", response="", token_ids=tuple(range(3, 3 + min(words, 90))))
    for example in (own, as_ids):
        trained = encode(example, tokenizer, PLAIN)
        measured = verbatim(example, tokenizer, longest=MAX_TOKENS, vocabulary=10_000)
        assert trained.ids == measured.ids
        assert trained.supervised == len(measured.own) - 1, "extraction scores the tokens 2 ... T"
        assert trained.prompt_ids == measured.ids[: measured.before + 1]


def test_a_reader_is_shown_what_ids_decode_to() -> None:
    tokenizer = tiny_tokenizer()
    assert response_text(ids_of(5, 6), tokenizer) == tokenizer.decode([5, 6])
    assert response_text(Example(id="q", response="so"), tokenizer) == "so"


def test_the_sequence_of_a_text_is_cut_at_the_smaller_limit() -> None:
    text = Example(id="x", form="text", response=" ".join(WORDS[:9]), max_tokens=4)
    assert len(sequence_ids(text, tiny_tokenizer(), 6)[0]) == 4
    assert len(sequence_ids(text, tiny_tokenizer(), 3)[0]) == 3


@needs(TDEC)
def test_the_published_arrays_hold_979_different_passages_of_100_tokens() -> None:
    found = load_examples(Source(path=str(TDEC / "val_prefix.npy"), suffix=str(TDEC / "val_suffix.npy")))
    assert {len(e.token_ids) for e in found} == {100} and len(found) == 979, "21 of the 1,000 rows are copies"
    tokenizer = tiny_tokenizer(vocab=50_257)
    assert all(encode(e, tokenizer, PLAIN).supervised == 99 for e in found[:20])
