"""A Wikidata dump as facts: ranks, names, sitelinks, packed files, cuts, and going on."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import DataError
from forgetting.core.progress import Voice
from forgetting.forget_sets.facts import dump as dumps
from forgetting.forget_sets.facts.build import build_facts
from forgetting.forget_sets.facts.dump import Dump
from forgetting.forget_sets.facts.fact import WIKIDATA
from forgetting.forget_sets.facts.plan import Plan
from forgetting.forget_sets.facts.relations import load_relations

RELATIONS = load_relations("country,capital")


def entity(id: str, label: str, sitelinks: int, **claims: list[tuple[str, str]]) -> dict[str, Any]:
    def statement(object: str, rank: str) -> dict[str, Any]:
        value = {"id": object} if object.startswith("Q") else {"time": object}
        return {"mainsnak": {"snaktype": "value", "datavalue": {"value": value}}, "rank": rank}

    return {
        "type": "item",
        "id": id,
        "labels": {"en": {"language": "en", "value": label}} if label else {},
        "aliases": {"en": [{"language": "en", "value": f"{label} alias"}]} if label else [],
        "claims": {p: [statement(*one) for one in some] for p, some in claims.items()},
        "sitelinks": {f"w{i}": {} for i in range(sitelinks)},
    }


ENTITIES = [
    entity("Q90", "Paris", 9, P17=[("Q142", "normal"), ("Q41304", "deprecated")]),
    entity("Q142", "France", 30, P36=[("Q90", "preferred"), ("Q456", "normal")], P17=[("Q142", "normal")]),
    entity("Q456", "Lyon", 5, P17=[("Q142", "normal"), ("Q99999", "normal")]),
    entity("Q1", "universe", 3, P580=[("+1000-00-00", "normal")]),
    entity("Q3", "Bonn", 2, P17=[("Q183", "normal"), ("+1949-05-24", "normal")]),
    entity("Q183", "Germany", 28),
    entity("Q99999", "", 0),
]
EXPECTED = [
    ("Paris", "country", "France"),
    ("France", "country", "France"),
    ("France", "capital", "Paris"),
    ("Lyon", "country", "France"),
    ("Bonn", "country", "Germany"),
]


def text_of(entities: list[dict[str, Any]]) -> bytes:
    return ("[\n" + ",\n".join(json.dumps(one) for one in entities) + "\n]\n").encode()


def dump(path: Path, said: list[str] | None = None) -> Dump:
    return Dump(path, RELATIONS, path.parent / "kept", Voice(say=(said if said is not None else []).append))


def triples(source: Dump) -> list[tuple[str, str, str]]:
    return sorted((f.subject.label, f.relation, f.object.label) for f in source.facts())


@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)])
def test_facts_of_the_best_rank_with_names_and_sitelinks(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / f"latest-all.json{ending}"
    file.write_bytes(pack(text_of(ENTITIES)))
    source = dump(file)
    facts = list(source.facts())
    assert sorted((f.subject.label, f.relation, f.object.label) for f in facts) == sorted(EXPECTED)
    bonn = next(f for f in facts if f.subject.label == "Bonn")
    assert (bonn.subject.id, bonn.object.id, bonn.object.aliases) == ("Q3", "Q183", ("Germany alias",))
    assert (bonn.subject.popularity["sitelinks"], bonn.object.popularity["sitelinks"]) == (2, 28)
    assert source.left_out == {
        "statements of a lower rank, or deprecated": 2,
        "statements whose value is no item": 1,
        "statements on an entity without a label in this language": 1,
    }
    assert (source.credit, source.about["cut"]) == (WIKIDATA, False)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_dump_that_is_cut_gives_what_stands_before_and_the_rest_once_it_is_whole(tmp_path: Path, ending: str) -> None:
    file, said = tmp_path / f"dump.json{ending}", list[str]()
    whole = text_of(ENTITIES)
    if ending:
        half = gzip.compress(whole[: whole.index(b'{"type": "item", "id": "Q3"') + 40])
        file.write_bytes(half[:-12])
    else:
        file.write_bytes(whole[: whole.index(b'{"type": "item", "id": "Q3"') + 40])
    cut = dump(file, said)
    found = triples(cut)
    assert set(found) <= set(EXPECTED)
    assert cut.about["cut"] is True
    assert len(said) == 1
    assert "ends in the middle of line" in said[0]
    if not ending:
        assert found == sorted(EXPECTED[:4])
        file.write_bytes(whole)
        again = dump(file)
        assert triples(again) == sorted(EXPECTED)
        assert again.about["cut"] is False


def test_a_line_that_is_no_entity_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    lines = text_of(ENTITIES).splitlines()
    lines.insert(3, b'{"id": "Q7", "claims": {"P17": [{"rank')
    file.write_bytes(b"\n".join(lines) + b"\n")
    source = dump(file)
    again = dump(file)
    for one in (source, again):
        assert triples(one) == sorted(EXPECTED)
        assert one.left_out["lines of the dump that are no entity"] == 1


def test_an_ended_pass_goes_on_behind_its_last_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps, "_SAVED_EVERY", 2)
    file = tmp_path / "dump.json"
    file.write_bytes(text_of(ENTITIES))
    read: list[str] = []
    made = Dump._subject

    def ends(self: Dump, line: bytes, names: Any) -> dict[str, Any] | None:
        found = made(self, line, names)
        read.append(json.loads(line)["id"])
        if len(read) == 4:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Dump, "_subject", ends)
    with pytest.raises(KeyboardInterrupt):
        list(dump(file).facts())
    assert triples(dump(file)) == sorted(EXPECTED)
    assert read == ["Q90", "Q142", "Q456", "Q3", "Q3"], "what stood before the mark was read once"
    read.clear()
    assert triples(dump(file)) == sorted(EXPECTED)
    assert read == [], "a pass that ended is not read again"


def test_what_was_read_and_then_damaged_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps, "_SAVED_EVERY", 2)
    file = tmp_path / "dump.json"
    file.write_bytes(text_of(ENTITIES))
    whole = dump(file)
    triples(whole)
    kept = sorted((tmp_path / "kept").rglob("*.jsonl"))
    assert len(kept) == 2
    for one in kept:
        was = one.read_bytes()
        for place in range(0, len(was), 97):
            one.write_bytes(was[:place] + bytes([was[place] ^ 1]) + was[place + 1 :])
            source = dump(file)
            assert triples(source) == sorted(EXPECTED)
            assert source.left_out == whole.left_out
        for lines in (was.splitlines(keepends=True)[1:], [was[:60]], [b'{"lines": 3, "end": true}\n'], []):
            one.write_bytes(b"".join(lines))
            assert triples(dump(file)) == sorted(EXPECTED)


def test_another_dump_with_the_same_beginning_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumps, "_BEGINNING", 64)
    file, said = tmp_path / "dump.json", list[str]()
    file.write_bytes(text_of(ENTITIES))
    triples(dump(file))
    file.write_bytes(text_of([*ENTITIES[:-2], entity("Q183", "Germania", 28), ENTITIES[-1]]))
    assert ("Bonn", "country", "Germania") in triples(dump(file, said))
    assert "another dump than the one that was read" in said[0]


def test_a_dump_that_is_cut_before_its_objects_gives_no_fact_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_bytes(text_of(ENTITIES[:1])[:-3] + b",\n{")
    plan = Plan(popularity="sitelinks")
    with pytest.raises(DataError, match=r"the source gives no fact; left out: .*1 statements on an entity"):
        build_facts(dump(file), RELATIONS, tmp_path / "out", plan=plan)


def test_no_dump_and_no_property_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.json.gz: cannot be read \(No such file or directory\); name a dump"):
        list(dump(tmp_path / "none.json.gz").facts())
    (tmp_path / "bad.json.gz").write_bytes(b"not gzip at all")
    with pytest.raises(DataError, match="broken behind line 0"):
        list(dump(tmp_path / "bad.json.gz").facts())
    file = tmp_path / "r.yaml"
    file.write_text('country: {question: "Where is {subject}?"}')
    source = dump(tmp_path / "bad.json.gz")
    source.relations = load_relations(str(file))
    with pytest.raises(DataError, match="names no Wikidata property"):
        list(source.facts())


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": [["Q90"]]},
        {"labels": {"en": {"value": 3}}},
        {"labels": {"en": {"value": None}}},
        {"labels": {"en": {"value": "\ud800"}}},
        {"aliases": {"en": [{"value": 3}]}},
    ],
)
def test_an_entity_whose_names_are_no_text_is_counted(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "dump.json"
    path.write_bytes(text_of([{**ENTITIES[0], **wrong}, *ENTITIES[1:]]))
    source = dump(path)
    assert all(isinstance(fact.subject.label, str) and fact.subject.label != "Paris" for fact in source.facts())
    assert source.left_out["lines of the dump that are no entity"] > 0


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path(__file__).parent, Path("x" * 5000), Path("a\0b")])
def test_what_is_no_file_is_refused_and_not_read(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read .*; name a dump"):
        next(Dump(path, RELATIONS, tmp_path / "kept", Voice()).facts())
    assert not (tmp_path / "kept").exists()
