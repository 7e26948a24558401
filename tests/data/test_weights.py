"""A weighted dataset is read back by the ordinary source, with the same weights on the same tokens."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError, RunError
from forgetting.core.example import Example, Message
from forgetting.data.encode import Encoded, encode_all
from forgetting.data.examples import load_examples
from forgetting.data.formatting import Formatting
from forgetting.data.source import Source
from forgetting.data.weights import write_weighted
from tests.data.tokenizers import CHATML, byte_level, characters, with_template

PLAIN = Formatting(template="plain")


def signed(rows: Iterable[Encoded], seed: int = 0) -> Iterator[tuple[Encoded, list[float]]]:
    rng = random.Random(seed)
    for row in rows:
        yield row, [rng.choice([1.0, -1.0, 0.0, 0.1]) for _ in range(row.supervised)]


def applied(weighted: Iterable[tuple[Encoded, Sequence[float]]]) -> list[Encoded]:
    """Each row with its weights multiplied, written out; rows with nothing supervised left out."""
    rows = []
    for row, factors in weighted:
        rest = iter(factors)
        weights = tuple(w * float(np.float32(next(rest))) if w else 0.0 for w in row.weights)
        if any(weights):
            rows.append(replace(row, weights=weights))
    return rows


def round_trip(
    path: Path, examples: list[Example], tokenizer: PreTrainedTokenizerBase, formatting: Formatting
) -> tuple[Source, list[Example]]:
    rows = encode_all(examples, tokenizer, formatting)
    source = write_weighted(path, examples, signed(rows))
    back = load_examples(source)
    assert encode_all(back, tokenizer, formatting) == applied(signed(rows))
    return source, back


def qa(count: int = 40, **more: object) -> list[Example]:
    return [
        Example(id=f"q{i}", prompt=f"Who is number {i}?", response=f"The answer is {i}.", **more)  # type: ignore[arg-type]
        for i in range(count)
    ]


def byte_level_chat() -> PreTrainedTokenizerBase:
    return with_template(CHATML, byte_level(size=402))  # its own: the template stays on it


@pytest.mark.parametrize(
    ("tokenizer", "formatting"),
    [
        (byte_level(), PLAIN),
        (byte_level_chat(), Formatting()),
        (characters(), PLAIN),
        (with_template(CHATML), Formatting(system="Be brief.")),
        (byte_level(), Formatting(template="plain", max_length=30)),
    ],
    ids=["plain", "chat", "characters", "system", "cut"],
)
def test_questions_come_back_with_their_weights(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, formatting: Formatting
) -> None:
    source, back = round_trip(tmp_path / "weighted.parquet", qa(), tokenizer, formatting)
    assert source == Source(path=str(tmp_path / "weighted.parquet"), form="qa")
    assert [(e.id, e.prompt, e.response) for e in back] == [(e.id, e.prompt, e.response) for e in qa()]


def test_a_document_cut_into_windows_is_one_row(tmp_path: Path) -> None:
    text = "Where was Ada born? " * 30
    documents = [Example(id=f"d{i}", response=text + str(i), form="text") for i in range(3)]
    formatting = Formatting(max_length=16)
    assert len(encode_all(documents, byte_level(), formatting)) > 10
    source, back = round_trip(tmp_path / "weighted.parquet", documents, byte_level(), formatting)
    assert source.form == "text" and [e.response for e in back] == [e.response for e in documents]
    assert load_examples(Source(path=str(source.path)))[0].form == "text", "the columns say it, too"


@pytest.mark.parametrize("max_tokens", [None, 6])
def test_texts_with_a_prompt_and_texts_of_which_a_beginning_counts_come_back(
    tmp_path: Path, max_tokens: int | None
) -> None:
    texts = [Example(id=f"t{i}", prompt="the answer", response=f" is {i} and that", form="text") for i in range(9)]
    texts.append(Example(id="d", response="a document that goes on", form="text"))
    texts = [replace(e, max_tokens=max_tokens) for e in texts]
    source, back = round_trip(tmp_path / "weighted.parquet", texts, byte_level(), Formatting())
    assert (source.form, source.max_tokens) == ("text", max_tokens)
    assert [(e.prompt, e.response) for e in back] == [(e.prompt, e.response) for e in texts]


def test_token_ids_come_back(tmp_path: Path) -> None:
    rows = [Example(id=f"t{i}", response=f"{i} 5 6", form="tokens", token_ids=(i, 5, 6)) for i in range(1, 9)]
    _, back = round_trip(tmp_path / "weighted.parquet", rows, characters(), Formatting())
    assert [e.token_ids for e in back] == [e.token_ids for e in rows]


def test_conversations_questions_and_documents_stand_in_one_file(tmp_path: Path) -> None:
    context = (Message("system", "Lie."), Message("user", "Hi"), Message("assistant", "Ho"))
    rows = [*qa(2), *(replace(e, id=f"c{e.id}", context=context) for e in qa(2))]
    rows.append(Example(id="d", response="a document", form="text"))
    source, back = round_trip(tmp_path / "weighted.parquet", rows, with_template(CHATML), Formatting())
    assert source.form is None
    assert [(e.form, e.context, e.prompt) for e in back] == [(e.form, e.context, e.prompt) for e in rows]


def test_all_that_an_example_holds_comes_back(tmp_path: Path) -> None:
    fields = {"subject": "Ada", "year": 1815, "noise": [[0, 3, "shuffled"]], "score": 0.1, "good": True}
    full = Example(
        id="a",
        prompt="q",
        response="a",
        paraphrased_prompt="q2",
        paraphrased="a2",
        perturbed=("x", "y"),
        popularity=3.5,
        group="g",
        kind="born in",
        weight=-0.3,
        fields=fields,
    )
    bare = Example(id="b", prompt="q", response="b")
    rows = encode_all([full, bare], characters(), PLAIN)
    source = write_weighted(tmp_path / "w.parquet", [full, bare], [(r, [1.0] * r.supervised) for r in rows])
    back = load_examples(source)
    assert encode_all(back, characters(), PLAIN) == rows
    for given, read in zip((full, bare), back, strict=True):
        ids = tuple(next(r for r in rows if r.key == given.id).target_ids)
        kept = {"id": given.id, **dict.fromkeys(fields), **given.fields}
        same = replace(given, where=read.where, fields=kept, token_weights=(1.0,) * len(ids), target_ids=ids)
        assert read == same


def test_the_columns_are_lists_of_float32_and_int32(tmp_path: Path) -> None:
    round_trip(tmp_path / "weighted.parquet", qa(3), characters(), PLAIN)
    schema = pq.read_schema(tmp_path / "weighted.parquet")
    assert str(schema.field("token_weights").type).endswith(": float>")
    assert str(schema.field("target_ids").type).endswith(": int32>")
    assert schema.names == ["id", "prompt", "response", "token_weights", "target_ids"]


def test_rows_are_written_as_they_come(tmp_path: Path) -> None:
    examples = qa(2500)
    rows = encode_all(examples, characters(), PLAIN)
    taken = 0

    def stream() -> Iterator[tuple[Encoded, list[float]]]:
        nonlocal taken
        for row in rows:
            taken += 1
            if taken == 2200:
                assert sum(f.stat().st_size for f in tmp_path.iterdir()) > 20_000, "two groups of rows are on disk"
                assert not (tmp_path / "w.parquet").exists()
            yield row, [1.0] * row.supervised

    write_weighted(tmp_path / "w.parquet", examples, stream())
    assert pq.ParquetFile(tmp_path / "w.parquet").metadata.num_row_groups == 3
    assert [f.name for f in tmp_path.iterdir()] == ["w.parquet"]


def test_a_file_that_is_not_whole_takes_no_place(tmp_path: Path) -> None:
    examples = qa(4)
    rows = encode_all(examples, characters(), PLAIN)
    good = [(row, [1.0] * row.supervised) for row in rows]
    write_weighted(tmp_path / "w.parquet", examples, good)
    before = (tmp_path / "w.parquet").read_bytes()
    cases = [
        (good[:-1], r"q3: no token weights are given for it"),
        ([*good, good[0]], r"q0: has token weights, but is none of the examples"),
        ([good[1], good[0], *good[2:]], r"q0: no token weights are given for it"),
        ([(rows[0], [1.0]), *good[1:]], r"q0: has \d+ supervised tokens and 1 weights"),
    ]
    for weighted, message in cases:
        with pytest.raises(DataError, match=message) as raised:
            write_weighted(tmp_path / "w.parquet", examples, weighted)
        assert "\n" not in str(raised.value)
    assert (tmp_path / "w.parquet").read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["w.parquet"]


@pytest.mark.parametrize(
    ("name", "examples", "message"),
    [
        ("w.jsonl", qa(1), "choose a name that ends in .parquet"),
        ("w.parquet", [], "there are no examples to write"),
        ("w.parquet", qa(1, token_weights=(1.0,)), "q0: has token_weights already; score the rows without them"),
        (
            "w.parquet",
            [*qa(1), Example(id="t", prompt="p", response="r", form="text")],
            "questions and texts with a prompt cannot be in one file",
        ),
        (
            "w.parquet",
            [*qa(1), Example(id="t", response="4 5", form="tokens", token_ids=(4, 5))],
            "token ids and texts cannot be in one file",
        ),
        (
            "w.parquet",
            [Example(id=str(n), response="text", form="text", max_tokens=n) for n in (3, 4)],
            "its texts have different max_tokens",
        ),
    ],
)
def test_what_one_source_cannot_read_back_is_refused(
    tmp_path: Path, name: str, examples: list[Example], message: str
) -> None:
    with pytest.raises(DataError, match=message) as raised:
        write_weighted(tmp_path / name, examples, [])
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rows = encode_all(qa(1), characters(), PLAIN)
    with pytest.raises(RunError, match=r"w\.parquet: cannot be written") as raised:
        write_weighted(tmp_path / "file" / "w.parquet", qa(1), [(r, [1.0] * r.supervised) for r in rows])
    assert "\n" not in str(raised.value)


def test_an_id_that_two_examples_have_gets_a_number(tmp_path: Path) -> None:
    examples = [*qa(2), Example(id="q0", prompt="Who else?", response="Ada"), *qa(1)]
    rows = encode_all(examples, characters(), PLAIN)
    back = load_examples(write_weighted(tmp_path / "w.parquet", examples, signed(rows)))
    assert [e.id for e in back] == ["q0", "q1", "q0~2", "q0~3"]
    assert [e.prompt for e in back] == [e.prompt for e in examples]
