"""Token scores of a redacted run: they do not reveal their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from forgetting.data.encode import Encoded
from forgetting.runs.redact import Redactor
from forgetting.token_selection.score_files import Part, Scores


def redacted_part(part: Part, redactor: Redactor) -> Part:
    """Scores of tokens with keyed keys and no token ids: token ids are text."""
    return replace(part, keys=[redactor.id(key) for key in part.keys], target_ids=np.zeros_like(part.target_ids))


class Unsealed(Scores):
    """Scores with redacted parts; keys and token ids are restored from the rows that were scored."""

    def __init__(self, folder: Path, rows: Sequence[Encoded]) -> None:
        super().__init__(folder)
        self._encoded = rows

    def parts(self) -> Iterator[Part]:
        """The rows in their original order, some at a time."""
        rows = iter(self._encoded)
        for part in super().parts():
            members = list(islice(rows, len(part.keys)))
            ids = np.concatenate([np.asarray(e.target_ids, dtype=np.int32) for e in members])
            yield replace(part, keys=[e.key for e in members], target_ids=ids)
