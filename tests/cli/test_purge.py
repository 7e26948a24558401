"""`forget purge` and `forget run --redact`: what they print, ask and leave."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from forgetting import cli
from forgetting.runs.results import Results


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def command(
    capsys: pytest.CaptureFixture[str], *arguments: object, typed: io.StringIO | None = None
) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["forget", *map(str, arguments)])
        patch.setattr(sys, "stdin", typed or io.StringIO())
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_run_is_redacted_asked_about_and_purged(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, "run", recipe_file, "duration=1 steps", "--redact", "--json")
    folder = tmp_path / "runs" / "run"
    assert code == 0
    assert json.loads(out)["redacted"] is True
    assert "redact: true" in (folder / "recipe.yaml").read_text()

    files = sorted(tmp_path.rglob("*"))
    code, out, _ = command(capsys, "purge", folder, "--dry-run")
    assert (code, sorted(tmp_path.rglob("*"))) == (0, files)
    assert "checkpoint" in out
    assert "to remove; kept: model, numbers, report" in out

    code, out, err = command(capsys, "purge", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "write --yes" in err
    code, out, _ = command(capsys, "purge", folder, typed=Terminal("n\n"))
    assert code == 1
    assert "Remove this for good?" in out
    assert sorted(tmp_path.rglob("*")) == files

    code, out, _ = command(capsys, "purge", folder, typed=Terminal("y\n"))
    assert code == 0
    assert Results.load(folder).purged
    assert not (folder / "stages" / "unlearn" / "last").exists()

    code, out, _ = command(capsys, "purge", folder)
    assert code == 0
    assert "nothing is left to remove; purged on" in out
    code, out, err = command(capsys, "run", recipe_file, "duration=1 steps", "--redact")
    assert code == 0
    assert "purged on" in err
    assert command(capsys, "report", folder)[0] == 0


def test_the_plan_as_json(recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, "run", recipe_file, "duration=1 steps", "--json")
    folder = tmp_path / "runs" / "run"
    planned = json.loads(command(capsys, "purge", folder, "--dry-run", "--json")[1])
    done = json.loads(command(capsys, "purge", folder, "--yes", "--json")[1])
    assert (planned["done"], done["done"]) == (False, True)
    assert planned["items"] == done["items"]
    actions = {Path(item["path"]).name: item["action"] for item in done["items"]}
    assert (actions["last"], actions["before.jsonl"], actions["report.html"]) == ("remove", "rewrite", "rewrite")
    assert all(item["bytes"] >= 0 and item["what"] for item in done["items"])


@pytest.mark.parametrize("wrong", ["none", "sweep", "empty"])
def test_what_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    for name in ("sweep", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    code, out, err = command(capsys, "purge", tmp_path / wrong, "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert wrong in err


def test_redact_is_a_yes_or_no(recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = command(capsys, "run", recipe_file, "redact=perhaps", "--dry-run")
    assert (code, err.count("\n")) == (2, 1)
    assert "redact" in err


def test_an_imported_log_is_no_run_to_purge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log").mkdir()
    for file in ("results.json", "import.json"):
        (tmp_path / "log" / file).write_text("{}")
    code, _, err = command(capsys, "purge", tmp_path / "log", "--yes")
    assert code == 2
    assert err.count("\n") == 1 and "imported log" in err
    assert (tmp_path / "log" / "results.json").is_file()
