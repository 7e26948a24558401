"""Facts of earlier requests, supplied again by their owner, on the model as it is now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.audits import ATTACKS
from forgetting.core.errors import DataError, RunError
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.audit.certify import certify
from forgetting.pipeline.audit.earlier import audit_earlier, supplied
from forgetting.pipeline.audit.verify import verify
from forgetting.runs.register import Again, Request, merged, read_register, write_register
from tests.conftest import write_rows
from tests.pipeline.audit.test_certify import STAGE, WORDS, Told
from tests.pipeline.finished_run.test_ask import made

ROWS = [{"question": f"Where does guest {i} live?", "answer": f"In house {i % 5} of lane {i}."} for i in range(12)]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))


@pytest.fixture(scope="module")
def line(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two requests to a model, both audited: `first` for all guests, `second` for four cooks."""
    kept = dict(ATTACKS._entries)
    folder = tmp_path_factory.mktemp("requests")
    rows = [json.loads(row) for row in (world / "retain.jsonl").read_text().splitlines()]
    data = {
        "forget": str(write_rows(folder / "cooks.jsonl", rows[:4])),
        "retain": str(write_rows(folder / "kept.jsonl", rows[4:])),
    }
    first = made(world, folder / "runs", "first", STAGE)
    ATTACKS.register("told")(lambda: Told(12, 0))
    certify(first, audit(first, attacks=["told"]))
    second = made(world, folder / "runs", "second", STAGE, model=str(first), data=data)
    yield second
    ATTACKS._entries.clear()
    ATTACKS._entries.update(kept)


@pytest.fixture
def second(line: Path, tmp_path: Path) -> Path:
    """A copy of the second run beside the first, whose place its recipe names."""
    shutil.copytree(line, line.parent / tmp_path.name)
    yield line.parent / tmp_path.name
    shutil.rmtree(line.parent / tmp_path.name)


def given(folder: Path, rows: list[dict[str, str]]) -> Path:
    return write_rows(folder / "supplied.jsonl", rows)


def test_rows_are_found_by_their_commitments_whatever_their_order_and_spacing(second: Path, tmp_path: Path) -> None:
    rows = [ROWS[7], {**ROWS[2], "question": "Where does  guest 2 live? "}]
    (one,) = supplied(second, given(tmp_path, rows))
    assert one.request.id == "first" and [e.prompt.split()[3] for e in one.facts] == ["7", "2"]
    (own,) = read_register(second / "register.json")
    assert len(own.each) == 12 and own.commitment not in own.each


def test_a_register_of_before_that_holds_one_commitment_takes_the_whole_request_alone(
    second: Path, tmp_path: Path
) -> None:
    for run in (second, second.parent / "first"):
        write_register(run / "register.json", [replace(r, each=()) for r in read_register(run / "register.json")])
    (one,) = supplied(second, given(tmp_path, ROWS[::-1]))
    assert len(one.facts) == 12
    with pytest.raises(DataError, match="belongs to no earlier request"):
        supplied(second, given(tmp_path, ROWS[:3]))


def test_a_row_of_no_request_and_a_model_without_requests_are_one_line(
    second: Path, world: Path, tmp_path: Path
) -> None:
    strange = [ROWS[0], {"question": "Who is it?", "answer": "Nobody."}, {"question": "And now?", "answer": "No."}]
    file = given(tmp_path, strange)
    with pytest.raises(
        DataError, match=r"supplied.jsonl:2: this row belongs to no earlier request [(]first[)], nor do 1 of the"
    ) as told:
        supplied(second, file)
    assert "Nobody" not in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(RunError, match="has no earlier request to compare rows with: its model comes from no earlier"):
        supplied(second.parent / "first", file)


def test_without_the_key_of_a_request_nothing_can_be_found(second: Path, tmp_path: Path) -> None:
    (own,) = read_register(second / "register.json")
    write_register(second / "register.json", [replace(own, key="another", audited="9")])
    with pytest.raises(RunError, match="are made with the key another, which is in no output folder"):
        supplied(second, given(tmp_path, ROWS))


def test_earlier_facts_are_attacked_on_the_model_now_without_a_text_and_stand_in_register_and_page(
    second: Path, world: Path, tmp_path: Path
) -> None:
    told = Told(3)
    ATTACKS.register("back")(lambda: told)
    rows = supplied(second, given(tmp_path, ROWS[:10]))
    (request,) = audit_earlier(second, rows, attacks=["back", "near"])  # near compares no facts
    (again,) = request.again
    assert (again.run, again.facts) == ("second", 10)
    assert again.line.startswith("Under 'back', at most 0.61 of subjects like these leak a fact (3 of 10 did; 95%)")
    files = [p for p in (second / "earlier").rglob("*") if p.is_file()]
    assert {p.name for p in files} == {"back.json", "after.jsonl"} and not (second / "audits").exists()
    assert not [word for p in files for word in WORDS if word in p.read_text()]
    calls = told.calls
    assert audit_earlier(second, rows, attacks=["back"])[0].again[0].line == again.line and told.calls == calls
    ATTACKS.register("own")(lambda: Told(4, 0))
    certify(second, audit(second, attacks=["own"]), again=[request])
    first, own = read_register(second / "register.json")
    assert first.again == (again,) and first.line == request.line and own.again == () and len(own.each) == 4
    page = (second / "certificate.html").read_text()
    assert "on the model of <bdi>second</bdi>, with 10 of its 12 facts:" in page and "3 of 10 did" in page
    assert not [word for word in WORDS if word in page + (second / "register.json").read_text()]
    assert verify(second / "certificate.json") == []


def test_what_was_said_again_is_carried_on_once_for_each_later_run(second: Path, world: Path, tmp_path: Path) -> None:
    ATTACKS.register("back")(lambda: Told(3))
    rows = supplied(second, given(tmp_path, ROWS))
    (request,) = audit_earlier(second, rows, attacks=["back"])
    write_register(second / "register.json", merged(read_register(second / "register.json"), [request]))
    data = {"forget": str(given(tmp_path, [{"question": "Who is it?", "answer": "Nobody."}]))}
    third = made(
        world,
        second.parent,
        f"{tmp_path.name}-3",
        STAGE,
        model=str(second),
        data={**data, "retain": str(world / "retain.jsonl")},
    )
    carried = next(r for r in read_register(third / "register.json") if r.id == "first")
    assert [one.run for one in carried.again] == ["second"]
    rows = supplied(third, write_rows(tmp_path / "again.jsonl", ROWS))
    (request,) = audit_earlier(third, rows, attacks=["back"])
    later = merged([carried], [request], [request])[0]
    assert [one.run for one in later.again] == ["second", third.name]
    shutil.rmtree(third)


def test_the_last_audit_of_one_run_counts() -> None:
    of = Request(id="first", date="1", commitment="c")
    early = Again(run="second", date="2", audited="3", facts=4, line="early")
    late = replace(early, audited="5", line="late")
    assert merged([replace(of, again=(late,))], [replace(of, again=(early,))])[0].again == (late,)
