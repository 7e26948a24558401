"""Passages become forget, unseen and retained text; what cannot be used is named in one line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from forgetting.benchmarks.tdec import drawn, tdec_lab, tdec_suite, tdec_variant, token_passages
from forgetting.core.errors import DataError, ForgettingError, RecipeError
from forgetting.core.example import Example
from forgetting.data.encode import Formatting
from forgetting.evaluation.answers import answer
from forgetting.evaluation.extraction import extract
from forgetting.metrics.score import score
from tests.metrics.making import SHARED
from tests.models.tiny import tiny_model, tiny_tokenizer

TDEC = SHARED / "data" / "tdec"
needs_data = pytest.mark.skipif(not TDEC.is_dir(), reason="the shared data are not here")


def passages(count: int, name: str = "p", words: int = 14) -> list[Example]:
    return [
        Example(id=f"{name}{i}", form="text", response=f"{name}{i} " + "the cat sat on big red " * (words // 6))
        for i in range(count)
    ]


def text_file(path: Path, count: int, name: str) -> str:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["doc_id", "corpus", "text"])
        writer.writerows([i, "x", e.response] for i, e in enumerate(passages(count, name)))
    return str(path)


def test_forget_and_unseen_are_measured_verbatim_and_retained_text_is_halved() -> None:
    suite = tdec_suite(passages(3), unseen=passages(5, "u"), retain=passages(7, "r"), count=3, n=(4, 2))
    splits = {split.name: split for split in suite.splits}
    assert [(s.name, len(s.examples), s.extraction) for s in suite.splits] == [
        ("forget", 3, (4, 2)),
        ("unseen", 3, (4, 2)),
        ("retain", 3, ()),
    ]
    assert not {e.id for e in suite.data["retain"]} & {e.id for e in splits["retain"].examples}
    assert suite.data["forget"] == splits["forget"].examples


def test_the_suite_is_measured_from_end_to_end() -> None:
    model, tokenizer = tiny_model("gpt_neo"), tiny_tokenizer()
    suite = tdec_suite(passages(3), unseen=passages(3, "u"), retain=passages(4, "r"), count=3, n=(4,))
    records = []
    for split in suite.splits:
        if split.extraction:
            records += extract(model, tokenizer, split.examples, split=split.name, n=split.extraction)
        else:
            formatting = Formatting(template="plain")
            records += answer(model, tokenizer, split.examples, split=split.name, formatting=formatting, generate=False)
    measures = {m.key: m for m in score(suite.metrics, records)}
    assert {k for k, m in measures.items() if m.value is None} == set()
    assert {"forget/el_4", "unseen/el_4", "forget/el_4_literal", "unseen/memorization_accuracy"} <= measures.keys()
    assert measures["forget/sequence_tokens"].value == 12, "as long as it is: nothing is filled up"


def test_parts_of_a_draw_are_disjoint_and_repeatable() -> None:
    pool = passages(20)
    parts = [drawn(pool, 4, seed=3, part=part) for part in range(5)]
    assert len({e.id for part in parts for e in part}) == 20
    assert parts[1] == drawn(pool, 4, seed=3, part=1) != drawn(pool, 4, seed=4, part=1)
    with pytest.raises(DataError, match="has 20 passages, but part 5 of 4 each needs 24"):
        drawn(pool, 4, seed=3, part=5)


@pytest.mark.parametrize("name", ["unseen", "retain"])
def test_text_that_is_forgotten_is_neither_unseen_nor_retained(name: str) -> None:
    with pytest.raises(DataError, match=f"is in the {name} text too \\(2 such\\)"):
        tdec_suite(passages(2), count=2, **{name: [*passages(2), *passages(3, "z")]})  # type: ignore[arg-type]


def test_questions_are_no_passages() -> None:
    with pytest.raises(DataError, match="q: is a question, not a passage"):
        tdec_suite([Example(id="q", prompt="a", response="b")], count=1)


def test_a_variant_names_its_files(tmp_path: Path) -> None:
    files = {name: text_file(tmp_path / f"{name}.csv", 4, name[0]) for name in ("forget", "unseen", "retain")}
    variant = ",".join(f"{k}={v}" for k, v in files.items()) + ",count=4,n=3+5"
    suite = tdec_variant(variant)
    assert [s.name for s in suite.splits] == ["forget", "unseen", "retain"]
    assert suite.splits[0].extraction == (3, 5)


def test_fast_measures_fewer_retained_passages(tmp_path: Path) -> None:
    variant = f"forget={text_file(tmp_path / 'f.csv', 2, 'f')},retain={text_file(tmp_path / 'r.csv', 80, 'r')},count=2"
    whole, fast = tdec_variant(variant), tdec_variant(variant, fast=True)
    assert [len(s.examples) for s in whole.splits] == [2, 40]
    assert [len(s.examples) for s in fast.splits] == [2, 32]
    assert fast.splits[0] == whole.splits[0]


@pytest.mark.parametrize("variant", ["", "forgets=a.csv", "forget=a.csv,n=x", "unseen=a.csv", "forget=a,count=1,n=0"])
def test_a_variant_without_meaning_is_one_line(variant: str, tmp_path: Path) -> None:
    with pytest.raises((RecipeError, DataError)) as found:
        tdec_variant(variant)
    assert isinstance(found.value, ForgettingError) and "\n" not in str(found.value)


def test_the_lab_brings_passages() -> None:
    suite = tdec_lab()
    splits = {s.name: s for s in suite.splits}
    assert len(splits["forget"].examples) == 32 and len(splits["unseen"].examples) == 16
    assert {e.popularity for e in splits["forget"].examples} == {8.0}


def saved(path: Path, values: object) -> Path:
    np.save(path, values, allow_pickle=True)  # type: ignore[arg-type]
    return path


def test_token_ids_are_measured_as_they_are(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(4, 97, (3, 12)).astype(np.uint16)
    prefix, suffix = saved(tmp_path / "p.npy", ids[:, :6]), saved(tmp_path / "s.npy", ids[:, 6:])
    found = token_passages(prefix, suffix, tiny_tokenizer())
    assert [list(e.fields["token_ids"]) for e in found] == ids.tolist()  # type: ignore[call-overload]
    assert found[0].form == "text" and found[0].response
    (record, *_) = extract(tiny_model("gpt2"), tiny_tokenizer(), found, split="forget", n=(3,))
    assert record.score is not None and record.score.tokens == 11


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([np.array([1, 2]), np.array([3])], dtype=object), "rows of unequal length"),
        (np.ones((2, 3)), "holds float64 numbers; token ids are whole numbers"),
        (np.ones(3, dtype=int), r"has the shape \[3\]"),
        (np.array([[1, 2], [3, 97]]), "row 1: token id 97 is outside the vocabulary of 97"),
        (np.array([[1, -2]]), "row 0: token id -2 is outside"),
    ],
)
def test_bad_arrays_are_named(tmp_path: Path, values: object, message: str) -> None:
    file = saved(tmp_path / "bad.npy", values)
    with pytest.raises(DataError, match=message) as found:
        token_passages(file, None, tiny_tokenizer())
    assert str(found.value).startswith(str(file)) and "\n" not in str(found.value)


def test_arrays_that_do_not_match_or_are_none_are_named(tmp_path: Path) -> None:
    two, one = saved(tmp_path / "2.npy", np.ones((2, 3), int)), saved(tmp_path / "1.npy", np.ones((1, 3), int))
    with pytest.raises(DataError, match=r"1\.npy: has 1 rows, but .*2\.npy has 2"):
        token_passages(two, one, tiny_tokenizer())
    (tmp_path / "t.npy").write_text(json.dumps([[1]]))
    with pytest.raises(DataError, match=r"t\.npy: not an array"):
        token_passages(tmp_path / "t.npy", None, tiny_tokenizer())
    with pytest.raises(DataError, match="no such file"):
        token_passages(tmp_path / "none.npy", None, tiny_tokenizer())


@needs_data
def test_the_five_published_sets_are_read() -> None:
    for number in range(5):
        suite = tdec_suite(str(TDEC / f"lm_extraction_32_{number}.csv"))
        assert len(suite.data["forget"]) == 32


@needs_data
def test_the_published_arrays_hold_1000_passages_of_100_tokens() -> None:
    tokenizer = tiny_tokenizer(vocab=50_257)
    found = token_passages(TDEC / "val_prefix.npy", TDEC / "val_suffix.npy", tokenizer)
    assert {len(e.fields["token_ids"]) for e in found} == {100} and len(found) == 1000  # type: ignore[arg-type]
    assert len({e.id for e in drawn(found, 32, seed=0, part=4)}) == 32
