"""Redaction: keyed hashes replace the texts that a run writes; numbers stay as they were computed.

Everything is computed from the texts first and redacted when it is written, so a redacted run has the same numbers.
Hashes are keyed, because a short answer could be found by hashing guesses. Each hash depends on its question, so the
frequency of an answer is not revealed. The key is stored apart from the runs, in `.cache` of their output folder: a
resumed run and runs that are compared need the same key. `forget purge` removes it with the folder's last run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import remove_partial, written_file
from forgetting.core.locks import locked
from forgetting.core.record import Record, write_records
from forgetting.core.subset import Subset
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall
from forgetting.runs.token_selection import TokenSelection

KEPT = (exact_match, rouge_l_recall, rouge_l_f1)
"""Metrics of the texts that a redacted record keeps."""
SHARED = ".cache"
"""The folder in an output folder that its runs share."""
BLANK = "▪"
"""Replaces the text of a token; only its quality and sign are shown."""


@dataclass(frozen=True)
class Redactor:
    """Hashes with one key of 32 random bytes."""

    key: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Identifies the key without revealing it."""
        return hashlib.sha256(self.key).hexdigest()[:16]

    def hash(self, *said: str) -> str:
        """16 hex digits that cannot be computed without the key."""
        return hmac.new(self.key, json.dumps(said).encode(), hashlib.sha256).hexdigest()[:16]

    def id(self, text: str) -> str:
        """The hash of an id; equal ids have equal hashes. Ids may be texts, or unkeyed hashes of them."""
        return self.hash("id", text) if text else ""

    def record(self, record: Record) -> Record:
        """The record without its texts; a redacted record is returned as it is."""
        if record.redacted is not None:
            return record

        def hidden(text: str) -> str:
            return self.hash("text", record.split, record.id, text) if text else ""

        return replace(
            record,
            id=self.id(record.id),
            group=self.id(record.group),
            prompt=hidden(record.prompt),
            answer=hidden(record.answer),
            generation=None if record.generation is None else hidden(record.generation),
            redacted={what.name: what.value_of(record) for what in KEPT},
        )

    def subset(self, subset: Subset) -> Subset:
        """The subset with the ids that redacted records have."""
        return replace(subset, ids=tuple(map(self.id, subset.ids)))

    def selection(self, selection: TokenSelection) -> TokenSelection:
        """The selection without the texts of examples and tokens."""
        examples = tuple(
            replace(e, key=self.id(e.key), prompt="", tokens=tuple(replace(t, text=BLANK) for t in e.tokens))
            for e in selection.examples
        )
        lowest = tuple(replace(low, key=self.id(low.key), before="", token=BLANK, after="") for low in selection.lowest)
        return replace(selection, examples=examples, lowest=lowest, redacted=True)


def write_hidden(file: Path, records: Sequence[Record], redactor: Redactor | None) -> str:
    """Writes a file of records, without their texts if there is a redactor, and returns its SHA-256."""
    write_records(file, records if redactor is None else map(redactor.record, records))
    return file_digest(file)


def with_texts(name: str, records: Sequence[Record]) -> Sequence[Record]:
    """Checks that the records of a file can be scored, and returns them.

    Raises:
        RunError: they were redacted.
    """
    if any(record.redacted is not None for record in records):
        raise RunError(
            f"{name}: its texts were redacted, and no answer can be compared with them; give the model itself"
        )
    return records


def key_file(output: Path) -> Path:
    """The file that holds the key of an output folder's runs."""
    return output / SHARED / "redaction.key"


def known_redactor(output: Path) -> Redactor | None:
    """The redactor of an output folder; None if it has no key.

    Raises:
        RunError: the file holds no key.
    """
    file = key_file(output)
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        key = b""
    if len(key) != 32:
        raise RunError(f"{file}: holds no redaction key; remove it to have a new one made")
    return Redactor(key)


def redactor_of(output: Path) -> Redactor:
    """The redactor of an output folder, with a new key if there is none; two processes agree on one key.

    Raises:
        RunError: it cannot be written, or holds no key.
    """
    found = known_redactor(output)
    if found is not None:
        return found
    file = key_file(output)
    with locked(file.parent, wait=lambda: None):
        remove_partial(file.parent, deep=False)
        if not file.exists():
            with written_file(file) as partial, os.fdopen(_opened_for_me(partial), "w") as handle:
                handle.write(secrets.token_hex(32))
    made = known_redactor(output)
    assert made is not None, "it was just written"
    return made


def _opened_for_me(path: Path) -> int:
    """A new file that only its owner can read."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
