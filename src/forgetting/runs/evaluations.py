"""The evaluations in a run's folder and their records, as files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import remove
from forgetting.core.processes import on_first
from forgetting.core.record import Record, read_records
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.paths import RunPaths
from forgetting.runs.reading import RUN_AGAIN, as_typed, read_object, write_object
from forgetting.runs.redact import Redactor, write_hidden

_EVALUATION = TypeAdapter(Evaluation)


@dataclass(frozen=True)
class Evaluations(RunPaths):
    """Writes and reads the evaluations of a run.

    Args:
        path: the run's folder.
        redactor: for a redacted run; every record written passes through it.
    """

    redactor: Redactor | None = field(default=None, repr=False)

    def write(self, evaluation: Evaluation, records: Sequence[Record]) -> Evaluation:
        """Writes an evaluation, and its records unless it is in the middle of a stage.

        Returns it as the first process wrote it, in all processes.
        """

        def write() -> Evaluation:
            kept = evaluation
            if evaluation.point != "epoch":
                file = self.records_file(evaluation)
                digest = write_hidden(file, records, self.redactor)
                kept = replace(evaluation, records=file.relative_to(self.path).as_posix(), records_sha256=digest)
            write_object(self._file_of(kept), asdict(kept))
            return kept

        return on_first(write)

    def find(self, asked: Evaluation) -> Evaluation | None:
        """Reads the evaluation of this point, stage and step, in all processes; None if there is none.

        Raises:
            RunError: the file is damaged.
        """
        file = self._file_of(asked)
        return on_first(lambda: _read_evaluation(file) if file.is_file() else None)

    def all(self) -> list[Evaluation]:
        """All evaluations, by file name.

        Raises:
            RunError: a file is damaged.
        """
        return [_read_evaluation(file) for file in sorted(self.evaluations_folder.glob("*.json"))]

    def in_order(self, stages: Sequence[str]) -> list[Evaluation]:
        """All evaluations in the order of a run: before, the oracle, then stage by stage.

        Args:
            stages: their names in the order of the recipe.

        Raises:
            RunError: a file is damaged.
        """
        order = {name: place for place, name in enumerate(stages)}
        ranks = {"before": 0, "oracle": 1, "epoch": 2, "after": 3}
        return sorted(self.all(), key=lambda e: (order.get(e.stage or "", -1), ranks[e.point], e.step))

    def records(self, evaluation: Evaluation, ids: Iterable[str]) -> list[Record]:
        """The records of an evaluation, in all processes; with the ids as they are given, also in a redacted run.

        Raises:
            RunError: the file is damaged.
        """
        shown = {} if self.redactor is None else {self.redactor.id(id): id for id in ids}
        records = on_first(lambda: read_records(self.records_file(evaluation)))
        return [replace(record, id=shown.get(record.id, record.id)) for record in records]

    def file(self, stage: str, step: int | None = None) -> Path:
        """The file of the evaluation after a stage, or of the one at a step of it."""
        at = Evaluation(point="after" if step is None else "epoch", stage=stage, step=step or 0)
        return self._file_of(at)

    def records_file(self, evaluation: Evaluation) -> Path:
        """The path of an evaluation's records."""
        return self.records_folder / f"{evaluation.file_stem}.jsonl"

    def fault_of(self, file: Path) -> str:
        """What is wrong with a file of an evaluation, or with its records; empty if nothing is."""
        try:
            evaluation = _read_evaluation(file)
        except RunError as error:
            return str(error).removesuffix(f"; {RUN_AGAIN}")
        if evaluation.records is None or not evaluation.records_sha256:
            return ""
        records = self.path / evaluation.records
        if records.is_file() and file_digest(records) == evaluation.records_sha256:
            return ""
        return f"{records}: is damaged or missing"

    def discard(self, stage: str) -> None:
        """Removes the evaluations of a stage and their records."""
        named = re.compile(rf"{re.escape(stage)}-(after|epoch-\d+)\.jsonl?")
        for folder in (self.evaluations_folder, self.records_folder):
            for file in folder.glob("*") if folder.is_dir() else ():
                if named.fullmatch(file.name):
                    remove(file)

    def _file_of(self, evaluation: Evaluation) -> Path:
        return self.evaluations_folder / f"{evaluation.file_stem}.json"


def _read_evaluation(file: Path) -> Evaluation:
    return as_typed(_EVALUATION, read_object(file, what="an evaluation", mend=RUN_AGAIN), file, RUN_AGAIN)
