"""What `forget find` prints and writes, over files of any kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting import cli
from forgetting.forget_sets.find import find


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("A letter. Guest 3 is said to live In house 3 of lane 3. More.")
    (tmp_path / "notes" / "b.md").write_text("Nothing to see.")
    (tmp_path / "log.csv").write_text('who,said\nme,"Where does guest 7 live? In house 2 of lane 7."\nyou,hello\n')
    return tmp_path


def test_every_finding_has_its_place_and_kind(world: Path, searched: Path) -> None:
    out = searched / "found.jsonl"
    result = find(str(world / "forget.jsonl"), [str(searched / "notes"), str(searched / "log.csv")], out=out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["where"], line["kind"]) for line in lines][-1] == (f"{searched / 'log.csv'}:2", "copy")
    assert lines[-1]["forget_where"] == f"{world / 'forget.jsonl'}:8"
    assert lines == result.first and result.sources[str(searched / "log.csv")].rows == 2
    assert result.to_json()["sources"][1]["rows_hit"] == 1


def test_the_command_prints_a_table_and_ends_well(
    world: Path, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: object) -> str:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr("sys.argv", ["forget", "find", *map(str, arguments)])
            cli.main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    said = command(world / "forget.jsonl", searched / "log.csv")
    assert "log.csv:2" in said and "1 of 2 rows (1 copy, 0 near, 0 passage, 0 mention, 0 name, 0 beside)" in said
    assert "1 of 12 forget examples occur there" in said
    found = json.loads(command(world / "forget.jsonl", world / "retain.jsonl", "--json"))
    assert found["forget_found"] == 0 and found["first"] == [] and found["sources"][0]["rows"] == 16


def test_rows_are_not_held(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one row of the searched data is alive at a time."""
    import weakref

    from forgetting.data import stretches as module

    alive: set[int] = set()
    most = 0

    class Row(dict):  # type: ignore[type-arg]
        pass

    def rows(source: object):  # type: ignore[no-untyped-def]
        nonlocal most
        for number in range(50):
            row = Row(text=f"row {number}")
            alive.add(number)
            weakref.finalize(row, alive.discard, number)
            most = max(most, len(alive))
            yield f"x:{number}", row

    monkeypatch.setattr(module, "read_rows", rows)
    find(str(world / "forget.jsonl"), [str(tmp_path / "x.jsonl")])
    assert most <= 2
