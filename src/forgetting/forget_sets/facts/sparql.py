"""Facts from a SPARQL endpoint such as https://query.wikidata.org/sparql, by relation, class and page.

Ids, labels and popularity of both ends come in one row, so nothing is searched by label. It asks politely: it says who
asks, waits as long as it is told to (Retry-After), longer each time it is refused, and keeps every page, so that an
ended build asks for the others only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import LocationParseError
from urllib3.util import Retry

from forgetting.core.digest import digest
from forgetting.core.errors import DataError, RunError
from forgetting.core.folder import write_text
from forgetting.core.progress import Voice
from forgetting.core.sealed import sealed
from forgetting.forget_sets.facts.fact import WIKIDATA, Credit, Entity, Fact, text_of
from forgetting.forget_sets.facts.relations import Relations
from forgetting.forget_sets.facts.table import number_in
from forgetting.runs.reading import read_object

TRIES = 5
_AGAIN = (429, 500, 502, 503, 504)
"""Answers after which the same is asked again."""
_LONGEST = 3600.0
"""Seconds that a command waits for an endpoint, at most."""
_QUERY = """SELECT ?s ?sName ?sLinks ?sStatements ?o ?oName ?oLinks ?oStatements WHERE {{
  ?s {instance}wdt:{property} ?o .
  ?s rdfs:label ?sName ; wikibase:sitelinks ?sLinks ; wikibase:statements ?sStatements .
  ?o rdfs:label ?oName ; wikibase:sitelinks ?oLinks ; wikibase:statements ?oStatements .
  FILTER(LANG(?sName) = "{language}" && LANG(?oName) = "{language}")
}} ORDER BY ?s ?o"""
"""`wdt:` gives truthy statements: those of the best rank, none that is deprecated."""


@dataclass
class Endpoint:
    """An endpoint with the vocabulary of Wikidata.

    Args:
        address: https://…
        relations: their properties and classes are asked for.
        kept: a folder for pages.
        page: rows that are asked for at once.
        most: rows for each relation and class; None: all.
        wait: seconds before the second try; twice as many before each further one.
        timeout: seconds in which an answer must begin.
    """

    address: str
    relations: Relations
    kept: Path
    voice: Voice
    page: int = 2000
    most: int | None = None
    stated: Credit | None = None
    language: str = "en"
    wait: float = 2.0
    timeout: float = 90.0
    left_out: Counter[str] = field(default_factory=Counter, init=False)

    def facts(self) -> Iterator[Fact]:
        """Every fact, relation by relation.

        Raises:
            DataError: the endpoint does not answer, refuses, or answers something else; which page it was.
        """
        queries = self.queries()
        if not queries:
            raise DataError("the relations file names no Wikidata property; write property: P17, and so on")
        with self._session() as session:
            for number, (name, query) in enumerate(queries):
                self.voice.progress(number, len(queries), f"asking for '{name}'")
                yield from self._rows(session, name, query)

    def queries(self) -> list[tuple[str, str]]:
        """(relation, query without its page)."""
        return [
            (name, _QUERY.format(instance=_instance(of), property=one.property, language=self.language))
            for name, one in self.relations.named.items()
            if one.property
            for of in one.classes or ("",)
        ]

    @property
    def about(self) -> dict[str, object]:
        """Address and queries."""
        return {"endpoint": self.address, "page": self.page, "queries": [query for _, query in self.queries()]}

    @property
    def credit(self) -> Credit:
        """Wikidata, unless it was stated."""
        return self.stated or WIKIDATA

    def _rows(self, session: requests.Session, name: str, query: str) -> Iterator[Fact]:
        begin = 0
        while self.most is None or begin < self.most:
            size = self.page if self.most is None else min(self.page, self.most - begin)
            rows, facts = self._kept(session, name, query, size, begin)
            if lost := rows - len(facts):
                self.left_out["rows of the endpoint that are no fact"] += lost
            yield from facts
            if rows < size:
                return
            begin += size

    def _kept(self, session: requests.Session, name: str, query: str, size: int, begin: int) -> tuple[int, list[Fact]]:
        """A page: how many rows it has, and the facts in them. One that is there and whole is not asked for."""
        file = self.kept / f"{digest(self.address, query, size, begin)}.json"
        if file.is_file():
            try:
                there = read_object(file, what="a page of an endpoint", mend="asking for it again")
                facts = [Fact.of(one) for one in there["facts"]]
                if there["rows"] >= len(facts):
                    return there["rows"], facts
                self.voice.say(f"{file}: has more facts than rows; asking for it again")
            except RunError as error:
                self.voice.say(str(error))
            except (KeyError, TypeError, ValueError, AttributeError):
                self.voice.say(f"{file}: is no page of an endpoint; asking for it again")
        found = self._asked(session, name, f"{query}\nLIMIT {size} OFFSET {begin}", begin)
        facts = [fact for row in found if (fact := self._fact(row, name)) is not None]
        page = {"rows": len(found), "facts": [asdict(fact) for fact in facts]}
        write_text(file, json.dumps(sealed(page, file.name)))
        return len(found), facts

    def _asked(self, session: requests.Session, name: str, query: str, begin: int) -> list[dict[str, Any]]:
        what = f"{self.address}: '{name}' from row {begin:,}"
        mend = "run the same command again to go on from there, or ask for fewer rows at once (--page)"
        try:
            answer = session.get(
                self.address,
                params={"query": query, "format": "json"},
                headers={"Accept": "application/sparql-results+json"},
                timeout=self.timeout,
            )
        except requests.exceptions.RetryError:
            raise DataError(f"{what}: refused {TRIES} times; {mend}") from None
        except LocationParseError:
            raise DataError(f"{self.address[:60]}: is no address; write http://HOST/PATH") from None
        except _AskedToWaitError:
            raise DataError(f"{what}: wants to be left alone for more than an hour; {mend}") from None
        except requests.exceptions.RequestException as error:
            late = isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error)
            why = f"no answer within {self.timeout:g} seconds" if late else f"unreachable ({type(error).__name__})"
            raise DataError(f"{what}: {why}, {TRIES} times; {mend}") from None
        if answer.status_code != requests.codes.ok:
            raise DataError(f"{what}: refused ({answer.status_code} {answer.reason}); {mend}")
        try:
            rows = answer.json()["results"]["bindings"]
            if not isinstance(rows, list):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{what}: answers something else than whole JSON results; {mend}") from None
        return rows

    def _fact(self, row: dict[str, Any], name: str) -> Fact | None:
        def entity(end: str) -> Entity:
            numbers = {"sitelinks": row[f"{end}Links"], "statements": row[f"{end}Statements"]}
            return Entity(
                text_of(row[f"{end}Name"]["value"]),
                text_of(row[end]["value"]).rpartition("/")[2],
                popularity={measure: _number(value["value"]) for measure, value in numbers.items()},
            )

        try:
            return Fact(entity("s"), name, entity("o"), "truthy", self.address)
        except (KeyError, TypeError, ValueError):
            return None

    def _session(self) -> requests.Session:
        again = _Patient(
            total=TRIES - 1,
            backoff_factor=self.wait / 2,
            backoff_max=120,
            status_forcelist=_AGAIN,
            respect_retry_after_header=True,
            raise_on_status=True,
        )
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        session.headers["User-Agent"] = f"forgetting/{version('forgetting')} (builder of facts; python-requests)"
        return session


class _AskedToWaitError(Exception):
    """An endpoint wants to be left alone for longer than a command waits."""


class _Patient(Retry):
    """Waits as long as it is told to, within reason."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        seconds = super().get_retry_after(response)
        if seconds is not None and seconds > _LONGEST:
            raise _AskedToWaitError
        return seconds


def _number(value: object) -> float:
    found = number_in(value)
    if found is None:
        raise ValueError(f"{value!r} is no number")
    return found


def _instance(of: str) -> str:
    return f"wdt:P31/wdt:P279* wd:{of} ; " if of else ""
