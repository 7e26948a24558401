"""The command as a whole: what it must not load, its help, and how a mistake ends it."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from forgetting.cli.app import app
from tests.cli.command import command

VERBS = sorted(
    [c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands]
    + [str(g.name or g.typer_instance.info.name) for g in app.registered_groups if g.typer_instance]
)


@pytest.mark.parametrize("statement", ["import forgetting", "import forgetting.cli"])
def test_what_help_needs_loads_no_heavy_library(statement: str) -> None:
    heavy = ("torch", "transformers", "pydantic", "scipy")
    code = f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, verb, "--help")
    assert code == 0 and "Usage" in out


def test_the_version_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "--version") == (0, f"forgetting {version('forgetting')}\n", "")


def test_an_unknown_command_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = command(capsys, "forgett")
    assert code == 2 and "forgett" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("schema", "recipes"),
        ("ask", "none", "x"),
        ("ask", "."),
        ("report", "none"),
        ("watch", "none"),
        ("watch", "."),
        ("board", "none"),
        ("board", "."),
        ("compare", "none"),
        ("compare", "none", "none"),
        ("rescore", "none.json"),
        ("import", "none.json", "--out", "x"),
        ("find", "none.jsonl", "other.jsonl"),
        ("derive", "none.jsonl", "--model", "lab", "--out", "x"),
        ("score", "none", "none.jsonl", "--reference", "r", "--scores", "s"),
        ("eval", "none", "--forget", "none.jsonl"),
        ("eval", "lab", "--suite", "labb"),
        ("generate", "none", "none.json"),
        ("reproduce", "no-such-table"),
        ("run", "no-such-recipe"),
        ("push", "none", "me/mine"),
        ("push", "none", "mine"),
        ("lab", "new", "x", "none.jsonl"),
        ("report", "none", "--out", ""),
        ("sweep", "lab-ranks", "--output", "", "--dry-run"),
        ("analyse", "none", "--oracle", "lab"),
        ("eval", "lab", "--suite", "lab", "--records", "records.txt"),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_one_line_and_code_2(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = command(capsys, *arguments)
    assert code == 2
    assert err.startswith("forget: ")
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_the_system_refuses_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        (tmp_path / "gone").read_text()

    monkeypatch.setattr("forgetting.report.run.page.build_report", unreadable)
    code, out, err = command(capsys, "report", tmp_path)
    reason = "cannot be read or written (No such file or directory); check the path and the disk"
    assert (code, out, err) == (2, "", f"forget: {tmp_path / 'gone'}: {reason}\n")


def test_an_empty_argument_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, "report", "one", "--out", "")
    assert (code, out, err) == (2, "", "forget: argument 4 is empty (after '--out'); write a value, or leave it out\n")
