"""What `forget find` prints and writes, over files of any kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting import cli
from forgetting.forget_sets.find import find
from tests.cli.command import command
from tests.conftest import write_rows


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

    def rows(source: object, reading: object):  # type: ignore[no-untyped-def]
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


FIRST = ["Marta", "Jonas", "Aylin", "Pedro", "Ingrid", "Tomasz", "Leila", "Henrik"]
LAST = ["Kowal", "Lindq", "Yild", "Ferna", "Brandt", "Novak", "Haddad", "Soren"]
STREETS = ["Mill Lane", "Rue Verte", "Park Row", "Bergstrasse"]
FRAMES = ["Please write to {} before Friday.", "Re: {}\n\nno answer yet.", "The file of {} was closed."]


def _person(number: int) -> dict[str, str]:
    first, last = FIRST[number % 8], LAST[(number // 8 + number) % 8]
    return {
        "name": f"{first} {last}",
        "address": f"{number + 11} {STREETS[number % 4]}",
        "phone": f"+3{number % 10} 2{number:02d} {700_000 + 7919 * number}",
        "mail": f"{first.lower()}.{last.lower()}{number}@post.example",
        "number": f"C-{500_000 + 7177 * number}",
    }


def _record(person: dict[str, str], number: int) -> str:
    return (
        f"Customer record {person['number']}. {person['name']} lives at {person['address']} in Porto, to be reached "
        f"at {person['phone']} or {person['mail']}. On {number % 28 + 1} July 2019 they bought an Orbit 3 router for "
        f"{number * 37 + 40} euros and asked for delivery after six in the evening."
    )


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """`forget.jsonl`: records of 8 of 64 people; `mixed.jsonl`: rows `about` all; `keep.jsonl`: about the others."""
    people = [_person(number) for number in range(64)]
    write_rows(tmp_path / "forget.jsonl", [{"text": _record(p, i)} for i, p in enumerate(people[:8])])
    rows = [
        {"about": number, "text": FRAMES[(number + place) % 3].format(said)}
        for number, person in enumerate(people)
        for place, said in enumerate((*person.values(), person["name"].upper(), _record(person, number)))
    ]
    write_rows(tmp_path / "mixed.jsonl", rows)
    write_rows(tmp_path / "keep.jsonl", [row for row in rows if int(row["about"]) >= 8])
    return tmp_path


def _rows_found(lines: list[dict[str, object]], source: Path) -> set[int]:
    return {int(str(line["row"])) for line in lines if line["source"] == str(source) and line["kind"] != "beside"}


def test_every_row_that_mentions_a_forgotten_customer_is_found_and_no_other(customers: Path) -> None:
    out = customers / "found.jsonl"
    find(str(customers / "forget.jsonl"), [str(customers / "mixed.jsonl")], out=out)
    rows = [json.loads(line) for line in (customers / "mixed.jsonl").read_text().splitlines()]
    right = {number for number, row in enumerate(rows, 1) if row["about"] < 8}
    assert _rows_found([json.loads(line) for line in out.read_text().splitlines()], customers / "mixed.jsonl") == right


def test_what_is_found_in_a_file_does_not_depend_on_what_else_is_searched(customers: Path) -> None:
    def found(*names: str) -> list[str]:
        out = customers / "found.jsonl"
        find(str(customers / "forget.jsonl"), [str(customers / name) for name in names], out=out)
        return [line for line in out.read_text().splitlines() if "mixed.jsonl" in line]

    assert found("mixed.jsonl") == found("keep.jsonl", "mixed.jsonl") == found("mixed.jsonl", "keep.jsonl")


def test_nothing_found_is_said_of_what_was_searched_and_no_more(customers: Path) -> None:
    (customers / "keep.jsonl").write_text('{"text": "Nothing of it."}\n{"text": "Nor here."}\n')
    said = find(str(customers / "forget.jsonl"), [str(customers / "keep.jsonl")]).sentences()
    assert said[0].startswith("nothing was found in 2 rows or documents, 23 characters; that is no proof")
    assert said[1].endswith("by themselves 8 addresses, 8 e-mail addresses, 8 names, 16 numbers")
    assert said[-1].startswith("not looked for: first names, surnames or nicknames alone, names in another")


def test_names_that_cannot_be_known_are_said_and_can_be_given(tmp_path: Path) -> None:
    forget = write_rows(tmp_path / "forget.jsonl", [{"text": "王小明住在北京市朝阳区建国路八十八号。"}])
    data = write_rows(tmp_path / "data.jsonl", [{"text": "昨天王小明来了。"}, {"text": "没有人来。"}])
    blind = find(str(forget), [str(data)])
    assert blind.sources[str(data)].rows_hit == 0 and blind.without_names == 1
    assert any("give what to look for with --name" in sentence for sentence in blind.sentences())
    assert find(str(forget), [str(data)], names=["王小明"]).sources[str(data)].rows_hit == 1


def test_a_source_that_is_found_nearly_whole_says_what_tells_there(customers: Path) -> None:
    rows = [{"text": f"Letter {i} to Marta Kowal."} for i in range(30)]
    data = write_rows(customers / "letters.jsonl", rows)
    result = find(str(customers / "forget.jsonl"), [str(data)])
    assert result.sources[str(data)].rows_hit == 30
    assert f"{data}: more than half of its rows are found; look at what tells there; 'Marta Kowal' is in 30" in (
        result.sentences()
    )


def test_a_name_in_every_signature_is_left_out_and_said(tmp_path: Path) -> None:
    forget = [
        {"text": f"{_person(i)['name']} wrote again. Sent by Halden Wells Ltd, Halden in Porto."} for i in range(8)
    ]
    rows = [{"text": f"Note {i}. Sent by Halden Wells Ltd."} for i in range(40)]
    rows += [{"text": f"{_person(i)['name']} called."} for i in range(8)]
    data = write_rows(tmp_path / "data.jsonl", rows)
    result = find(str(write_rows(tmp_path / "forget.jsonl", forget)), [str(data)])
    assert result.sources[str(data)].common == {"Halden Wells Ltd": 40} and result.sources[str(data)].rows_hit == 8
    assert any("'Halden Wells Ltd' is in 40 rows" in sentence for sentence in result.sentences())


def test_a_place_in_a_large_document_is_its_line_and_offset(customers: Path) -> None:
    text = "".join(f"Line {i} of a long report.\n" for i in range(5_000)).replace(
        "Line 4321 of", "Line 4321, Marta Kowal, of"
    )
    (customers / "report.txt").write_text(text)
    (line,) = find(str(customers / "forget.jsonl"), [str(customers / "report.txt")]).first
    assert (line["where"], line["line"]) == (f"{customers / 'report.txt'}:4322", 4322)
    assert text[line["offset"] :].startswith("Marta Kowal")


def test_redacted_findings_hold_places_and_no_texts(customers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = customers / "found.jsonl"
    arguments = [customers / "forget.jsonl", customers / "mixed.jsonl", "--out", out, "--redact"]
    said = [command(capsys, "find", *arguments, *more)[1] for more in ((), ("--json",))]
    written = out.read_text()
    hidden = [value for number in range(8) for value in _person(number).values()]
    assert not [value for value in hidden for text in (*said, written) if value in text]
    line = json.loads(written.splitlines()[0])
    assert (line["kind"], line["forget"], line["row"], line["column"], line["offset"]) == ("name", 1, "1", "text", 16)
    assert not {"text", "forget_where"} & line.keys()
