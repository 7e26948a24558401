"""What is asked of the hub's library, folders that it wrote, and one line for whatever it fails with."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from forgetting.core.errors import DataError
from forgetting.data.examples import load_examples
from forgetting.data.files import read_rows
from forgetting.data.source import Source

ROWS = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(5)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    table = datasets.Dataset.from_list(ROWS)
    table.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": table, "test": table.select([4])}).save_to_disk(str(tmp_path / "both"))
    table.to_parquet(str(tmp_path / "local" / "data" / "train-00000.parquet"))
    return tmp_path


def test_configuration_split_revision_and_limit_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load(*arguments: object, **keywords: object) -> list[dict]:
        asked.append((arguments, keywords))
        return ROWS

    monkeypatch.setattr(datasets, "load_dataset", load)
    value = {"hub": "org/set", "name": "forget10", "split": "validation", "revision": "abc", "limit": 2}
    found = load_examples(Source.model_validate(value))
    assert asked == [(("org/set", "forget10"), {"split": "validation", "revision": "abc"})]
    assert [e.where for e in found] == ["org/set/forget10/validation[0]", "org/set/forget10/validation[1]"]


def test_keys_beside_a_place_in_one_string() -> None:
    found = Source.model_validate({"path": "hub:org/set/forget10/test", "revision": "abc", "limit": 3})
    assert found == Source(hub="org/set", name="forget10", split="test", revision="abc", limit=3)


def test_a_local_folder_is_read_by_the_hub_s_library_too(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = list(read_rows(Source(hub=str(saved / "local"))))
    assert [row for _, row in rows] == ROWS


def test_a_folder_that_datasets_saved_is_a_source(saved: Path) -> None:
    assert [e.prompt for e in load_examples(Source(path=str(saved / "one")))] == [r["question"] for r in ROWS]
    (last,) = load_examples(Source(path=str(saved / "both"), split="test"))
    assert (last.prompt, last.where) == ("q4", f"{saved / 'both'}[0]")
    assert len(load_examples(Source(path=str(saved / "local")))) == 5


def test_a_saved_folder_without_the_split_or_damaged_is_one_line(saved: Path) -> None:
    with pytest.raises(DataError, match=r"both: has no split 'tset'; did you mean 'test'\?"):
        list(read_rows(Source(path=str(saved / "both"), split="tset")))
    next((saved / "one").glob("*.arrow")).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"one: cannot be loaded .*; save it again") as raised:
        list(read_rows(Source(path=str(saved / "one"))))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [ConnectionError("Couldn't reach 'org/set' on the Hub"), OSError("x")])
def test_without_a_network_it_says_what_to_download(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*arguments: object, **keywords: object) -> None:
        raise ValueError("outer\nmore") from (error if isinstance(error, ConnectionError) else ConnectionError("y"))

    monkeypatch.setattr(datasets, "load_dataset", fails)
    with pytest.raises(
        DataError,
        match=r"org/set/train: the hub cannot be reached \(outer more\).*--repo-type dataset org/set --local-dir",
    ):
        list(read_rows(Source(hub="org/set")))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("Unknown split 'x'.\nShould be one of ['train']"),
            r"ValueError: Unknown split 'x'\. Should be one",
        ),
        (RuntimeError(""), r"\(RuntimeError: RuntimeError\); check its name"),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'org/set' doesn't exist"), "gated one, log in"),
    ],
)
def test_what_the_hub_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def fails(*arguments: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fails)
    with pytest.raises(DataError, match=said) as raised:
        list(read_rows(Source(hub="org/set")))
    assert "\n" not in str(raised.value)
