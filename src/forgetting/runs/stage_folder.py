"""The folder of one stage: written by the first process only, without texts if the run is redacted, and read back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from os import SEEK_END

from pydantic import TypeAdapter

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import is_complete, sync, unwritable, write_text, written_file
from forgetting.core.processes import by_first, is_first, on_first
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.metrics.extraction import Thresholds
from forgetting.runs.paths import StagePaths
from forgetting.runs.reading import as_typed, read_object, write_object
from forgetting.runs.redact import Redactor
from forgetting.runs.stage_result import StageResult, Step, TokenScores
from forgetting.runs.token_selection import MEND, TokenSelection, read_selection

_RESULT = TypeAdapter(StageResult)
_THRESHOLDS = TypeAdapter(Thresholds)
_SCORES = TypeAdapter(TokenScores)
_STEP = TypeAdapter(Step)
_PREPARED = TypeAdapter(dict[str, float])
_AGAIN = "remove the stage's folder and run it again"
_LONGEST_STEP = 2048
"""Bytes that a line of the history may have where only its end is read."""


@dataclass(frozen=True)
class StageFolder(StagePaths):
    """Writes and reads the files of a stage.

    Args:
        path: the stage's folder.
        redactor: for a redacted run; everything written passes through it.
    """

    redactor: Redactor | None = field(default=None, repr=False)

    def write_result(self, result: StageResult) -> None:
        """Writes how the stage ended."""
        by_first(lambda: write_object(self.result_file, asdict(replace(result, history_sha256=self.history_digest()))))

    def result(self) -> StageResult:
        """Reads how the stage ended: its result, completed from its other files.

        Raises:
            RunError: it has not ended, or the file is damaged.
        """
        name = self.path.name
        raw = {"name": name, "method": "", **read_object(self.result_file, what="a result", mend=_AGAIN)}
        if raw["name"] != name:
            raise RunError(f"{self.result_file}: is the result of another stage; {_AGAIN}")
        scores = self.token_scores()
        return replace(
            as_typed(_RESULT, raw, self.result_file, _AGAIN),
            thresholds=self.thresholds(),
            scoring_seconds=None if scores is None else scores.seconds,
        )

    def write_prepared(self, seconds: float, steps: int = 0) -> None:
        """Writes the seconds before the first step, and how many steps are to follow.

        A resumed stage keeps those of its first start.
        """
        if not on_first(lambda: is_complete(self.last)):
            by_first(lambda: write_object(self.prepared_file, {"seconds": seconds, "steps": steps}))

    def prepared_seconds(self) -> float:
        """The seconds before the first step.

        Raises:
            RunError: the stage has not begun, or the file is damaged.
        """
        return self._prepared()["seconds"]

    def planned_steps(self) -> int | None:
        """The steps of its whole duration; None if it has not begun, or an earlier version began it.

        Raises:
            RunError: the file is damaged.
        """
        return int(self._prepared().get("steps", 0)) or None if self.prepared_file.is_file() else None

    def _prepared(self) -> dict[str, float]:
        raw = read_object(self.prepared_file, what="the seconds of preparation", mend=_AGAIN)
        return as_typed(_PREPARED, raw, self.prepared_file, _AGAIN)

    def write_thresholds(self, thresholds: Thresholds) -> None:
        """Writes what the stop rule compares with."""
        by_first(lambda: write_object(self.thresholds_file, asdict(thresholds)))

    def thresholds(self) -> Thresholds | None:
        """What the stop rule compared with; None if there was none.

        Raises:
            RunError: the file is damaged.
        """
        if not self.thresholds_file.is_file():
            return None
        raw = read_object(self.thresholds_file, what="thresholds", mend=_AGAIN)
        return as_typed(_THRESHOLDS, raw, self.thresholds_file, _AGAIN)

    def write_selection(self, selection: TokenSelection) -> None:
        """Writes which tokens are learned and which are forgotten, for the report."""
        shown = selection if self.redactor is None else self.redactor.selection(selection)
        by_first(lambda: write_object(self.selection_file, asdict(shown)))

    def selection(self) -> TokenSelection | None:
        """Which tokens are learned and which are forgotten; None if the stage selects none.

        Raises:
            RunError: the file does not hold a selection.
        """
        if not self.selection_file.is_file():
            return None
        return read_selection(read_object(self.selection_file, what="a selection", mend=MEND), str(self.selection_file))

    def write_token_scores(self, scores: TokenScores) -> None:
        """Writes which token scores the stage selects by."""
        hidden = self._hidden(scores)
        by_first(lambda: write_object(self.scores_file, asdict(hidden)))

    def token_scores(self) -> TokenScores | None:
        """Which token scores the stage selects by; None if it selects no tokens.

        Raises:
            RunError: the file is damaged.
        """
        if not self.scores_file.is_file():
            return None
        raw = read_object(self.scores_file, what="token scores", mend=_AGAIN)
        return as_typed(_SCORES, raw, self.scores_file, _AGAIN)

    def check_token_scores(self, scores: TokenScores) -> None:
        """Checks that a stage that has trained resumes with its original scores.

        Raises:
            RunError: model, reference, tokenizer or data have changed.
        """
        began = self.token_scores() if is_complete(self.last) else None
        now = self._hidden(scores)
        for what in ("model", "reference", "tokenizer", "data"):
            if began is not None and getattr(began, what) != getattr(now, what):
                raise RunError(
                    f"{self.path}: the {what} of its token scores changed since it began; put it back, or write name=…"
                )

    def _hidden(self, scores: TokenScores) -> TokenScores:
        return scores if self.redactor is None else replace(scores, data=self.redactor.hash("data", scores.data))

    def append_step(self, step: Step) -> None:
        """Adds a step to the history."""
        if is_first():
            try:
                with self.history_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(step)) + "\n")
            except OSError as error:
                raise unwritable(self.history_file, error) from error

    def history_digest(self) -> str:
        """SHA-256 of the history, once it is on disk; empty if there is none."""
        if not self.history_file.is_file():
            return ""
        sync(self.history_file)
        return file_digest(self.history_file)

    def holds_history(self, steps: int, digest: str) -> bool:
        """Whether the first `steps` steps of the history have this SHA-256."""
        return self.history_file.is_file() and hashlib.sha256(self._first(steps)).hexdigest() == digest

    def _first(self, steps: int) -> bytes:
        return b"".join(self.history_file.read_bytes().splitlines(keepends=True)[:steps])

    def cut_history(self, steps: int) -> None:
        """Keeps the first `steps` steps of the history; later steps are repeated."""
        by_first(lambda: self._cut_history(steps))

    def _cut_history(self, steps: int) -> None:
        if steps == 0:
            self.history_file.unlink(missing_ok=True)
        elif self.history_file.is_file():
            kept = self._first(steps)
            with written_file(self.history_file) as partial:
                partial.write_bytes(kept)

    def history(self, digest: str = "", *, growing: bool = False) -> list[Step]:
        """The optimiser steps; empty if there are none.

        Args:
            digest: the SHA-256 of the file when the stage ended; empty: unknown.
            growing: whether the stage may go on; then a last line that is not whole is left out.

        Raises:
            RunError: a line is not a step, or the file has another digest.
        """
        if digest and self.history_digest() != digest:
            raise RunError(
                f"{self.history_file}: is damaged or missing: it does not have the SHA-256 that the run wrote down; "
                "bring it back, or remove the run's folder and start it again"
            )
        if not self.history_file.is_file():
            return []
        return [self._step(line, f":{number}") for number, line in enumerate(self._lines(growing=growing), 1)]

    def recent(self, most: int) -> list[Step]:
        """The last optimiser steps, at most so many, of a stage that may go on; of a long history only the end is read.

        Raises:
            RunError: a line is not a step.
        """
        if not self.history_file.is_file():
            return []
        return [self._step(line) for line in self._lines(_LONGEST_STEP * most, growing=True)[-most:]]

    def _step(self, line: str, where: str = "") -> Step:
        try:
            return _STEP.validate_python(read_json(line))
        except ValueError as error:
            raise RunError(
                f"{self.history_file}{where}: not a training step; remove the line or run the stage again"
            ) from error

    def _lines(self, most: int | None = None, *, growing: bool) -> list[str]:
        """The lines of the history, or those that are whole within its last bytes."""
        try:
            with self.history_file.open("rb") as file:
                start = 0 if most is None else max(0, file.seek(0, SEEK_END) - most)
                file.seek(start)
                lines = file.read().decode("utf-8", errors="strict" if start == 0 else "replace").splitlines(True)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.history_file}: cannot be read ({said(error)}); remove it, or run it again"
            ) from error
        whole = lines[:-1] if growing and lines and not lines[-1].endswith("\n") else lines
        return whole[1:] if start else whole

    def hand_over(self, key: str = "") -> None:
        """Marks the stage as finished; `key` says which reference it holds."""
        by_first(lambda: write_text(self.handed_over_file, self._key(key)))

    def is_handed_over(self, key: str = "") -> bool:
        """Whether the stage is finished and holds this reference; the same in all processes."""

        def holds() -> bool:
            file = self.handed_over_file
            return file.is_file() and file.read_bytes() == self._key(key).encode()

        return on_first(holds)

    def _key(self, key: str) -> str:
        return key if self.redactor is None or not key else self.redactor.hash("stage", key)
