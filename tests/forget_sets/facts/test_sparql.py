"""An endpoint, here a local server: paged, patient, polite, and gone on from; what it refuses is one line."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from forgetting.core.errors import DataError
from forgetting.core.progress import SILENT, Voice
from forgetting.forget_sets.facts.fact import WIKIDATA
from forgetting.forget_sets.facts.relations import load_relations
from forgetting.forget_sets.facts.sparql import TRIES, Endpoint

RELATIONS = load_relations("country")
CITIES = 5


def row(number: int) -> dict[str, Any]:
    values = {"s": f"http://www.wikidata.org/entity/Q{number}", "sName": f"City {number}", "sLinks": number}
    values |= {"o": "http://www.wikidata.org/entity/Q142", "oName": "France", "oLinks": 300, "sStatements": 7}
    return {name: {"value": str(value)} for name, value in (values | {"oStatements": 9}).items()}


class Server(ThreadingHTTPServer):
    """Answers pages of `CITIES` rows, after what `before` says: (status, headers, body), or seconds of silence."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.before: list[tuple[int, dict[str, str], bytes] | float] = []
        self.asked: list[tuple[str, str]] = []
        self.times: list[float] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/sparql"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query)["query"][0]
        self.server.asked.append((self.headers["User-Agent"], query))
        self.server.times.append(time.monotonic())
        first = self.server.before.pop(0) if self.server.before else None
        if isinstance(first, float):
            time.sleep(first)
            return
        status, headers, body = first or (200, {}, self._page(query))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _page(self, query: str) -> bytes:
        limit, offset = (int(query.split(word)[1].split()[0]) for word in ("LIMIT", "OFFSET"))
        rows = [row(i) for i in range(1, CITIES + 1)][offset : offset + limit]
        return json.dumps({"results": {"bindings": rows}}).encode()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def endpoint(server: Server, folder: Path, **keys: Any) -> Endpoint:
    given = {"page": 2, "wait": 0.0, "timeout": 5.0, **keys}
    return Endpoint(server.address, RELATIONS, folder / "kept", SILENT, **given)


def test_pages_are_asked_for_until_one_is_not_full(server: Server, tmp_path: Path) -> None:
    source = endpoint(server, tmp_path)
    facts = list(source.facts())
    assert [f.subject.id for f in facts] == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    assert (facts[0].relation, facts[0].object.label, facts[0].object.id) == ("country", "France", "Q142")
    assert facts[4].subject.popularity == {"sitelinks": 5.0, "statements": 7.0}
    assert [query.rpartition("LIMIT")[2] for _, query in server.asked] == [" 2 OFFSET 0", " 2 OFFSET 2", " 2 OFFSET 4"]
    assert all(agent.startswith("forgetting/") for agent, _ in server.asked)
    assert "?s wdt:P31/wdt:P279* wd:Q515 ; wdt:P17 ?o ." in server.asked[0][1]
    assert source.credit == WIKIDATA


def test_no_more_rows_than_wanted_are_asked_for(server: Server, tmp_path: Path) -> None:
    assert len(list(endpoint(server, tmp_path, most=3).facts())) == 3
    assert server.asked[-1][1].endswith("LIMIT 1 OFFSET 2")


def test_it_waits_as_long_as_it_is_told_to(server: Server, tmp_path: Path) -> None:
    server.before = [(429, {"Retry-After": "1"}, b"slow down")]
    assert len(list(endpoint(server, tmp_path).facts())) == CITIES
    assert server.times[1] - server.times[0] >= 1


def test_an_error_of_the_server_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.before = [(500, {}, b"TimeoutException"), (503, {}, b"")]
    assert len(list(endpoint(server, tmp_path).facts())) == CITIES


@pytest.mark.parametrize(
    ("before", "keys", "said"),
    [
        ([(429, {}, b"")] * TRIES, {}, "'country' from row 0: refused 5 times; run the same command again"),
        ([0.5] * TRIES, {"timeout": 0.05}, "no answer within 0.05 seconds, 5 times; run the same"),
        ([(400, {}, b"bad query")], {}, "refused \\(400 Bad Request\\)"),
        ([(200, {}, b'{"results": {"bindings": [{"s"')], {}, "answers something else than whole JSON"),
        ([(429, {"Retry-After": "90000"}, b"")], {}, "wants to be left alone for more than an hour; run the same"),
        ([(200, {}, b"<html>")], {}, "answers something else than whole JSON"),
        ([(200, {}, b'{"results": {"bindings": null}}')], {}, "answers something else than whole JSON"),
        ([(200, {}, b'{"results": {"bindings": "abc"}}')], {}, "answers something else than whole JSON"),
        ([(200, {}, b"[" * 200_000)], {}, "answers something else than whole JSON"),
    ],
)
def test_what_is_refused_for_good_is_one_line(
    server: Server, tmp_path: Path, before: list[Any], keys: dict[str, Any], said: str
) -> None:
    server.before = list(before)
    with pytest.raises(DataError, match=said) as raised:
        list(endpoint(server, tmp_path, **keys).facts())
    assert str(raised.value).startswith(server.address)


@pytest.mark.parametrize("wrong", [{"s": 3}, {"sName": None}, {"oName": ["France"]}, {"sName": "\ud800"}])
def test_a_row_that_is_no_fact_is_left_out(server: Server, tmp_path: Path, wrong: dict[str, Any]) -> None:
    rows = [row(1), {**row(2), **{end: {"value": value} for end, value in wrong.items()}}]
    server.before = [(200, {}, json.dumps({"results": {"bindings": rows}}).encode())]
    assert [fact.subject.id for fact in endpoint(server, tmp_path, page=3).facts()] == ["Q1"]


def test_pages_that_came_are_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    source = endpoint(server, tmp_path)
    page = iter(source.facts())
    assert [next(page).subject.id, next(page).subject.id] == ["Q1", "Q2"]
    server.before = [(404, {}, b"")]
    with pytest.raises(DataError, match="from row 2: refused"):
        next(page)
    server.asked.clear()
    assert len(list(endpoint(server, tmp_path).facts())) == CITIES
    assert [query.rpartition("OFFSET")[2] for _, query in server.asked] == [" 2", " 4"]


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    nowhere = Endpoint("http://127.0.0.1:9/sparql", RELATIONS, tmp_path, SILENT, wait=0.0)
    with pytest.raises(DataError, match="unreachable"):
        list(nowhere.facts())


def test_rows_that_are_no_fact_are_counted(server: Server, tmp_path: Path) -> None:
    odd = {**row(1), "sLinks": {"value": "many"}}
    server.before = [(200, {}, json.dumps({"results": {"bindings": [odd]}}).encode())]
    source = endpoint(server, tmp_path)
    assert list(source.facts()) == []
    assert source.left_out == {"rows of the endpoint that are no fact": 1}


DAMAGED = [
    b"",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b'{"rows": 0, "facts": [], "/sha256": "0"}',
    b'{"rows": "x", "facts": []}',
    b'{"rows": 1, "facts": [3]}',
    b'{"rows": 1, "facts": null}',
    b'{"rows": 1, "facts": [{"subject": {"label": 3}}]}',
    b'{"rows": -1, "facts": []}',
    None,
]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_page_is_asked_for_again_and_said(server: Server, tmp_path: Path, damage: bytes | None) -> None:
    list(endpoint(server, tmp_path).facts())
    page = sorted((tmp_path / "kept").iterdir())[0]
    page.write_bytes(page.read_bytes().replace(b"City", b"Cita", 1) if damage is None else damage)
    said: list[str] = []
    again = endpoint(server, tmp_path)
    again.voice = Voice(say=said.append)
    assert [f.subject.label for f in again.facts()] == [f"City {i}" for i in range(1, CITIES + 1)]
    assert len(server.asked) == 4
    assert len(said) == 1
    assert said[0].startswith(str(page))
    assert said[0].endswith("asking for it again")


def test_rows_that_are_no_facts_are_counted_also_where_their_page_was_kept(server: Server, tmp_path: Path) -> None:
    rows = [row(1), {"s": {"value": "Q7"}}]
    server.before = [(200, {}, json.dumps({"results": {"bindings": rows}}).encode())]
    for source in (endpoint(server, tmp_path), endpoint(server, tmp_path)):
        list(source.facts())
        assert source.left_out == {"rows of the endpoint that are no fact": 1}


def test_an_address_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no address; write http://HOST/PATH"):
        list(Endpoint(f"http://{'h' * 300}", RELATIONS, tmp_path / "kept", SILENT).facts())
