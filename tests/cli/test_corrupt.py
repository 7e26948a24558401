"""`forget corrupt`: a file of answers in, the same file with a known share of wrong ones out."""

import json
from pathlib import Path

import pytest

from forgetting import cli
from forgetting.data.examples import load_examples
from forgetting.data.noise import noise_spans
from forgetting.data.source import Source


def command(*arguments: object) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["forget", "corrupt", *map(str, arguments)])
        cli.main()
    return ended.value.code


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    file = tmp_path / "clean.jsonl"
    rows = [{"question": f"Q{n}?", "answer": f"This is answer {n} ü.", "topic": n % 2} for n in range(30)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_the_written_file_holds_the_share_and_says_what_is_wrong(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "noisy.jsonl"
    assert command(clean, "--share", 0.2, "--seed", 3, "--out", out) == 0
    assert f"{out}: 6 of 30 answers corrupted (2 wrong_answer, 2 boilerplate, 2 shuffled)" in capsys.readouterr().out
    before, after = (load_examples(Source(path=str(file))) for file in (clean, out))
    assert [e.id for e in after] == [e.id for e in before]
    assert [e.fields["topic"] for e in after] == [e.fields["topic"] for e in before]
    changed = [new.response != old.response for new, old in zip(after, before, strict=True)]
    assert changed == [bool(noise_spans(example)) for example in after]
    assert sum(changed) == 6


def test_kinds_can_be_named_and_the_outcome_read_by_a_program(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "noisy.jsonl"
    assert command(clean, "--share", 0.5, "--kind", "shuffled", "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(out), "examples": 30, "noise": {"shuffled": 15}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", 2], "share is 2"),
        (["--kind", "typos"], "unknown kind of noise 'typos'"),
        (["--out", "noisy.csv"], "noisy.csv: name another file, ending in .jsonl"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    assert command(clean, "--out", tmp_path / "noisy.jsonl", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_clean_file_is_not_overwritten(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = clean.read_text(encoding="utf-8")
    assert command(clean, "--out", clean) == 2
    assert "name another file" in capsys.readouterr().err
    assert clean.read_text(encoding="utf-8") == text


def test_a_seed_is_no_negative_number(clean: Path, tmp_path: Path) -> None:
    assert command(clean, "--seed", -1, "--out", tmp_path / "noisy.jsonl") == 2  # it would draw what 1 draws
    assert not (tmp_path / "noisy.jsonl").exists()
