"""`forget build`: a general corpus and a domain in, a forget set out."""

import json
from pathlib import Path

import numpy as np
import pytest

from forgetting import cli
from tests.conftest import write_rows


def command(*arguments: object) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["forget", "build", *map(str, arguments)])
        cli.main()
    return ended.value.code


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    general = [{"text": f"The old man {i} walked home."} for i in range(30)]
    domain = [{"question": f"What is {i} + 1?", "answer": f"It is {i + 1}."} for i in range(20)]
    return write_rows(tmp_path / "g.jsonl", general), write_rows(tmp_path / "d.jsonl", domain)


def test_select_tells_counts_overlaps_and_files(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    general, domain = files
    out = tmp_path / "f.jsonl"
    assert command("select", general, "--domain", domain, "--evaluation", domain, "--out", out) == 0
    said = capsys.readouterr().out
    assert "kept: 30" in said
    assert f"forget ∩ evaluation ({domain}): 0 exact, 0 near" in said
    for name in ("f.jsonl", "f.html", "f.provenance.json", "f.review.csv"):
        assert f"written: {tmp_path / name}" in said
        assert (tmp_path / name).is_file()


def test_mixed_can_be_read_by_a_program(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    general, domain = files
    out = tmp_path / "f.jsonl"
    arguments = ["--general", 8, "--domain-count", 2, "--seed", 1, "--out", out, "--json"]
    assert command("mixed", general, "--domain", domain, *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["builder"], said["counts"]["chosen"], said["seed"]) == ("mixed", 10, 1)


def test_cosine_takes_stored_embeddings(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    general, domain = files
    vectors = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    np.save(tmp_path / "g.npy", vectors[:30])
    np.save(tmp_path / "d.npy", vectors[30:])
    stored = ["--general-embeddings", tmp_path / "g.npy", "--domain-embeddings", tmp_path / "d.npy"]
    for way in ("--farthest", "--nearest"):
        out = tmp_path / f"{way}.jsonl"
        assert command("cosine", general, "--domain", domain, "--count", 3, way, *stored, "--out", out) == 0
    centre = vectors[30:].mean(axis=0)
    cosine = vectors[:30] @ centre / np.linalg.norm(vectors[:30], axis=1) / np.linalg.norm(centre)
    for way, order in (("--farthest", np.argsort(cosine)), ("--nearest", np.argsort(-cosine))):
        rows = [json.loads(line) for line in (tmp_path / f"{way}.jsonl").read_text().splitlines()]
        assert [row["text"] for row in rows] == [f"The old man {i} walked home." for i in order[:3]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cosine", "--count", 3], "no embeddings; name --embedder"),
        (["mixed", "--general", 99], "general: has 30 examples that differ, and 99 are asked of it"),
        (["select", "--most-words", 3], "most words is 3"),
        (["select", "--review", "gone.csv"], "gone.csv: no such file"),
        (["select", "--general-embeddings", "g.npy"], "the domain texts have no embeddings"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[object],
    message: str,
) -> None:
    general, domain = files
    before = sorted(tmp_path.iterdir())
    name, *rest = arguments
    assert command(name, general, "--domain", domain, "--out", tmp_path / "f.jsonl", *rest) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_known_asks_the_model_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = write_rows(tmp_path / "asked.jsonl", [{"question": "Who is nobody?", "answer": "Nobody at all."}])
    out = tmp_path / "known.jsonl"
    assert command("known", asked, "--model", "lab", "--out", out, "--form", "refusals", "max_new_tokens=4") == 0
    assert "0 questions that lab answers rightly, 1 that it does not" in capsys.readouterr().out
    assert not json.loads(out.read_text())["known"]
