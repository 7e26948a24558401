"""The commands with which one lives with a run: what they print, and that what is wrong is one line and code 2."""

import json
from pathlib import Path

import pytest

from forgetting import cli


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["forget", *map(str, arguments)])
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("recipe", "sweep"):
        code, out, _ = command(capsys, "schema", what)
        assert code == 0
        assert json.loads(out)["$schema"].startswith("https://json-schema.org")
    assert json.loads(command(capsys, "schema")[1])["title"] == "A recipe of forgetting"


def test_a_dry_run_tells_memory_disk_and_time_and_writes_nothing(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = command(capsys, "run", recipe_file, "--dry-run")
    assert code == 0
    for what in ("memory", "disk", "time"):
        assert f"# {what}: about " in out
    code, out, _ = command(capsys, "run", recipe_file, "--dry-run", "--json")
    found = json.loads(out)["estimate"]
    assert found["peak_bytes"] > 0
    assert found["disk_bytes"] == sum(found["disk"].values())
    assert found["seconds"]["training"] > 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_asked_compared_and_prepared(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        assert command(capsys, "run", recipe_file, f"name={name}", "duration=2 steps", f"seed={len(name)}")[0] == 0
    one, two = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    file = tmp_path / "q.txt"
    file.write_text("Where does guest 2 live?\n")
    code, out, _ = command(capsys, "ask", one, "Where does guest 1 live?", "--file", file, "--max-new-tokens", 3)
    assert code == 0
    assert out.count("before") == out.count("after ") == 2
    found = json.loads(command(capsys, "ask", one, "Where does guest 1 live?", "--json")[1])
    assert [a["point"] for a in found["asked"]] == ["before", "after"]
    code, out, _ = command(capsys, "compare", one, two)
    assert code == 0
    assert (one / "compare.html").is_file()
    assert "two − one" in out
    values = json.loads(command(capsys, "compare", one, two, "--out", tmp_path / "c.html", "--json")[1])
    assert values["runs"] == ["one", "two"]
    code, out, _ = command(capsys, "push", one, "me/mine", "--prepare-only", tmp_path / "hub")
    assert code == 0
    assert (tmp_path / "hub" / "README.md").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("schema", "recipes"),
        ("ask", "none", "x"),
        ("ask", "."),
        ("compare", "none"),
        ("compare", "none", "none"),
        ("import", "none.json", "--out", "x"),
        ("push", "none", "me/mine"),
        ("push", "none", "mine"),
    ],
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
