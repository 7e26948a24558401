"""What a model did on one example. Metrics are pure functions of records, so old runs can be scored again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import write_lines
from forgetting.core.text import said
from forgetting.core.written import read_json


@dataclass(frozen=True, slots=True)
class Score:
    """The likelihood of one answer to one prompt under the model."""

    logp: float
    """Sum of log p over the answer's supervised tokens, nats."""
    tokens: int
    ranks: tuple[int, ...] = ()
    """Rank of each target token in the model's distribution, 0 = the greedy choice."""
    runner_up: float = math.nan
    """Sum of log p of the best token other than the target, nats."""

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood per token, nats."""
        return -self.logp / self.tokens

    @property
    def probability(self) -> float:
        """Length-normalised probability, p(answer)^(1/tokens)."""
        return math.exp(self.logp / self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One model's answer to one example."""

    id: str
    split: str
    """The part of the suite it belongs to: `forget`, `retain`, `utility`, …"""
    prompt: str
    answer: str
    generation: str | None = None
    """The greedy answer; None if none was requested."""
    score: Score | None = None
    paraphrase: Score | None = None
    perturbed: tuple[Score, ...] = ()
    popularity: float | None = None
    group: str = ""
    kind: str = ""
    attempt: str = ""
    """How it was asked, where an attack asks one question in several ways: a form, a template, a quantiser."""
    extraction: Mapping[int, tuple[float | None, ...]] = field(default_factory=dict)
    """For a verbatim sequence of T tokens, by n: the n-gram overlap of the greedy continuation of each prefix with the
    true one, for prefix lengths 0 ... T-n. None: there was nothing to continue."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Other numbers of this answer, by name, such as membership scores. They hold no text, and redaction keeps them."""
    redacted: Mapping[str, float | None] | None = None
    """None: the record has its texts. Else ids and texts are keyed hashes, and this holds the values computed from the
    texts, by metric: such a record can be shown, but not scored again."""

    @property
    def has_text(self) -> bool:
        """Whether the model has written something: an answer, or continuations."""
        return self.generation is not None or bool(self.extraction)

    @property
    def without_text(self) -> Record:
        """What is left of it where nothing was written: likelihoods and ranks."""
        return replace(self, generation=None, extraction={})

    @property
    def cluster(self) -> str:
        """The key by which intervals are clustered."""
        return self.group or self.id


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes one JSON object per line; the file is whole or absent.

    Raises:
        RunError: the disk cannot be written.
    """
    write_lines(path, (json.dumps(asdict(record), ensure_ascii=False) for record in records))


def check_record_file(path: Path) -> None:
    """Checks that a file of records exists.

    Raises:
        RunError: it does not.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such record file; bring it back, or evaluate the model again")


def read_records(path: Path) -> list[Record]:
    """The records of a file that `write_records` wrote.

    Raises:
        RunError: the file is missing, or a line is not a record.
    """
    check_record_file(path)
    return list(_parse(path))


def _parse(path: Path) -> Iterator[Record]:
    # Not splitlines(): it also cuts at U+2028 and the like, which an answer may contain.
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as text ({said(error)}); evaluate the model again") from error
    for number, line in enumerate(text.split("\n") if text else (), 1):
        try:
            row = read_json(line)
            for name in ("score", "paraphrase"):
                row[name] = _score(row[name])
            row["perturbed"] = tuple(_score(s) for s in row["perturbed"])
            row["extraction"] = {int(n): tuple(values) for n, values in row.get("extraction", {}).items()}
            yield Record(**row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"{path}:{number}: not a record ({error}); evaluate the model again") from error


def _score(value: dict | None) -> Score | None:
    return None if value is None else Score(**{**value, "ranks": tuple(value["ranks"])})
