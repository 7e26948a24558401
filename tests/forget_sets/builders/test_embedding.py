"""Embeddings in blocks, computed or read from a file."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.errors import DataError, ModelError
from forgetting.forget_sets.builders.embedding import SentenceEmbedder, Vectors, embedded, stored


class Letters:
    """Counts letters: an embedder that anyone could write."""

    about = {"name": "letters"}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(len(texts))
        return np.array([[t.count(c) for c in "abc"] for t in texts], dtype=np.float32)


TEXTS = [(f"t{i}", "abc"[: i % 3 + 1]) for i in range(10)]


def test_texts_are_embedded_block_by_block_in_their_order() -> None:
    letters = Letters()
    blocks = list(embedded(iter(TEXTS), letters, block=4))
    assert letters.asked == [4, 4, 2]
    assert [name for ids, _ in blocks for name in ids] == [name for name, _ in TEXTS]
    np.testing.assert_array_equal(np.concatenate([v for _, v in blocks]), letters.embed([t for _, t in TEXTS]))


def test_stored_embeddings_are_those_of_the_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float16)
    np.save(tmp_path / "e.npy", values)
    blocks = list(stored(tmp_path / "e.npy", iter("abcdefghij"), block=3))
    assert [ids for ids, _ in blocks] == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"], ["j"]]
    np.testing.assert_array_equal(np.concatenate([v for _, v in blocks]), values.astype(np.float32))


@pytest.mark.parametrize("texts", [9, 11])
def test_another_number_of_rows_than_texts_is_refused(tmp_path: Path, texts: int) -> None:
    np.save(tmp_path / "e.npy", np.ones((10, 2), np.float32))
    with pytest.raises(DataError, match=r"e.npy: has 10 rows, but there are (9|more) texts"):
        list(stored(tmp_path / "e.npy", map(str, range(texts)), block=4))


@pytest.mark.parametrize(("value", "what"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "all zeros")])
def test_an_embedding_without_a_direction_is_named(tmp_path: Path, value: float, what: str) -> None:
    values = np.ones((6, 2), np.float32)
    values[4] = value
    np.save(tmp_path / "e.npy", values)
    with pytest.raises(DataError, match=f"e.npy, row 4: its embedding is {what}"):
        list(stored(tmp_path / "e.npy", map(str, range(6)), block=3))
    with pytest.raises(DataError, match="t1: its embedding is all zeros"):
        list(embedded([("t0", "a"), ("t1", "xyz")], Letters()))


def test_files_that_hold_no_embeddings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "ids.npy", np.ones((3, 2), np.int32))
    for name, message in (("text", "not an array"), ("ids", "does not hold embeddings"), ("none", "no such file")):
        with pytest.raises(DataError, match=f"{name}.npy: {message}"):
            list(stored(tmp_path / f"{name}.npy", "ab"))


def test_without_its_package_an_embedder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModelError, match=r"MiniLM: needs the package sentence-transformers; pip install"):
        SentenceEmbedder("MiniLM")


def test_a_model_that_is_none_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded as an embedder") as error:
        SentenceEmbedder(str(tmp_path))
    assert "\n" not in str(error.value)
