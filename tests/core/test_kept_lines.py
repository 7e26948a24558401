"""A growing file of lines: what is read is what was written, wherever a kill cut it or a byte changed."""

import threading
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.core.kept_lines import add_lines, kept_lines
from forgetting.core.progress import Voice

ROWS = [{"n": 1, "text": "ä"}, {"n": 2, "text": "b\n"}, {"n": 3, "text": ""}]


def read(path: Path, said: list[str] | None = None) -> list[dict[str, Any]]:
    with kept_lines(path, dict, Voice(say=(said if said is not None else []).append)) as found:
        return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own" / "lines.jsonl"
    with kept_lines(path, dict, Voice()) as found:
        assert found == []
        add_lines(path, ROWS[:2])
        add_lines(path, ROWS[2:])
    return path


def test_what_was_added_is_read_in_its_order(file: Path) -> None:
    said: list[str] = []
    assert read(file, said) == ROWS
    assert said == []


def test_a_cut_line_is_taken_out_and_others_go_behind_the_last_whole_one(file: Path) -> None:
    whole, said = file.read_bytes(), list[str]()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        lines = whole[:length].count(b"\n")
        assert read(file, said) == ROWS[:lines]
        add_lines(file, ROWS[lines:])
        assert read(file, said) == ROWS
    assert said == []


def test_a_changed_byte_gives_no_other_value(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(len(whole)):
        for bit in (1, 128):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            found = [{key: row[key] for key in ("n", "text")} for row in read(file)]
            assert all(row in ROWS for row in found)
            assert len(found) >= 1


def test_how_many_are_damaged_is_said_once(file: Path) -> None:
    said: list[str] = []
    file.write_bytes(file.read_bytes().replace(b'"n": 2', b'"n": 7'))
    assert read(file, said) == [ROWS[0], ROWS[2]]
    assert read(file, said) == [ROWS[0], ROWS[2]]
    assert said == [f"{file}: 1 of 3 lines are damaged; what they held is made again"]


def test_a_line_of_another_file_is_damage(file: Path) -> None:
    other = file.parent.parent / "others" / file.name
    other.parent.mkdir()
    other.write_bytes(file.read_bytes())
    assert read(other) == []


def test_another_process_is_waited_for(file: Path) -> None:
    said: list[str] = []
    found: list[list[dict[str, Any]]] = []
    with kept_lines(file, dict, Voice()):
        second = threading.Thread(target=lambda: found.append(read(file, said)))
        second.start()
        second.join(0.3)
        assert (found, said) == ([], [f"another process is filling {file}; waiting for it"])
    second.join(10)
    assert found == [ROWS]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").mkdir()
    with pytest.raises(RunError, match=r"lines\.jsonl: cannot be written"):
        add_lines(tmp_path / "lines.jsonl", ROWS)
