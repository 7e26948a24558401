"""The folder of one run: locked by one run at a time, written by the first process only, without texts if redacted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from forgetting.core.errors import DataError, RowError, RunError
from forgetting.core.folder import is_complete, write_text
from forgetting.core.locks import LOCK, locked
from forgetting.core.measure import Measure
from forgetting.core.processes import by_first, first_holds, on_first
from forgetting.core.record import Record, write_records
from forgetting.data.reading import skipped_rows
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.output import OutputFolder
from forgetting.runs.paths import RunPaths
from forgetting.runs.reading import as_typed, read_object
from forgetting.runs.redact import Redactor, known_redactor, redactor_of
from forgetting.runs.results import FORMAT, Results, read_results
from forgetting.runs.stage_folder import StageFolder

MEASURED = "/measured"
"""The key next to the stages in the file of digests; no stage can have this name."""
REDACTED = "/redacted"
"""In the same file: the key with which the digests of a redacted run were hashed."""
Digests = Mapping[str, Mapping[str, str]]
"""Digests of the training data, by stage and role; under `MEASURED`, of the measured data, by split."""
_AGAIN = "remove the file and start the run again"
_EVALUATION = TypeAdapter(Evaluation)
_MEASURES = TypeAdapter(list[Measure])


@dataclass(frozen=True)
class RunFolder(RunPaths):
    """Writes and reads the files of a run.

    Args:
        path: the run's folder.
        redactor: for a redacted run; everything written passes through it.
    """

    redactor: Redactor | None = field(default=None, repr=False)

    @property
    def output(self) -> OutputFolder:
        """The folder that contains it, with the shared caches."""
        return OutputFolder(self.path.parent)

    def stage(self, name: str) -> StageFolder:
        """The folder of a stage."""
        return StageFolder(self.stages_folder / name, self.redactor)

    def stages(self) -> list[StageFolder]:
        """The folders of all existing stages, by name."""
        found = sorted(self.stages_folder.iterdir()) if self.stages_folder.is_dir() else []
        return [self.stage(path.name) for path in found if path.is_dir()]

    @property
    def has_trained(self) -> bool:
        """Whether a stage wrote a checkpoint."""
        return self.is_finished or any(is_complete(stage.last) for stage in self.stages())

    def check_takes(self, recipe: str) -> None:
        """Checks that the folder is new, holds this recipe, or holds a run that never trained.

        Args:
            recipe: as YAML.

        Raises:
            RunError: it holds something else.
        """
        if self.is_run and self.has_trained and self.recipe_file.read_text(encoding="utf-8") != recipe:
            raise RunError(f"{self.path}: holds a run of another recipe; write another name=… or remove the folder")
        if not self.is_run and self.path.is_dir() and any(self.path.iterdir()):
            raise RunError(f"{self.path}: is not empty and not a run; write another name=… or output=…")

    def check_data(self, now: Digests) -> None:
        """Checks that a run that has trained resumes with its original data.

        Raises:
            RunError: the training or measured data have changed.
        """
        if not (self.data_file.is_file() and self.has_trained):
            return
        began = read_object(self.data_file, what="the digests of the data", mend=_AGAIN)
        if REDACTED in began:
            redactor = known_redactor(self.path.parent)
            if redactor is None or redactor.name != began[REDACTED]["key"]:
                return  # the digests cannot be compared without the key that they were hashed by
            now = _hashed(now, redactor)
        for stage, parts in began.items():
            for part, began_with in parts.items():
                if stage in now and now[stage].get(part) != began_with:
                    what = f"{part} split that it measures has" if stage == MEASURED else f"{part} data have"
                    raise RunError(
                        f"{self.path}: its {what} changed since it began; put it back, or write another name=…"
                    )

    @contextmanager
    def opened(
        self, recipe: str, digests: Digests, environment: Mapping[str, object], *, redact: bool
    ) -> Iterator[RunFolder]:
        """Locks the folder for this run, and clears the files of a run that never trained.

        Several processes of one run enter together.

        Args:
            recipe: as YAML.
            digests: of the data.
            environment: what the numbers may depend on apart from the recipe.
            redact: whether files are written without texts from here on.

        Raises:
            RunError: another process holds the folder, or it cannot be written.
        """
        with first_holds(lambda: self._opened(recipe, digests, environment, redact)) as folder:
            yield folder

    @contextmanager
    def _opened(
        self, recipe: str, digests: Digests, environment: Mapping[str, object], redact: bool
    ) -> Iterator[RunFolder]:
        with locked(self.path):
            if not self.has_trained:
                shutil.rmtree(self.evaluations_folder, ignore_errors=True)
                shutil.rmtree(self.records_folder, ignore_errors=True)
            redactor = redactor_of(self.path.parent) if redact else None
            kept = digests if redactor is None else _hashed(digests, redactor)
            self.write_recipe(recipe)
            write_text(self.data_file, json.dumps(kept, indent=1))
            write_text(self.environment_file, json.dumps(environment, indent=1))
            yield replace(self, redactor=redactor)
        (self.path / LOCK).unlink(missing_ok=True)

    def write_recipe(self, recipe: str) -> None:
        """Writes the recipe, as YAML."""
        by_first(lambda: write_text(self.recipe_file, recipe))

    def write_skipped(self, rows: Sequence[RowError]) -> None:
        """Writes which rows of the data were left out, and why; no file where none was."""
        if rows:
            by_first(lambda: write_text(self.skipped_file, skipped_rows(rows)))

    def environment(self) -> dict[str, Any]:
        """The environment of the run.

        Raises:
            RunError: the file is missing or damaged.
        """
        return read_object(self.environment_file, what="an environment", mend=_AGAIN)

    def hiding(self) -> RunFolder:
        """The folder of a finished run; it writes no texts if the run is redacted or purged.

        Raises:
            RunError: no finished run.
        """
        results = self.results()
        return replace(self, redactor=redactor_of(self.path.parent) if results.redacted or results.purged else None)

    def keyed(self, kind: str, digest: str) -> str:
        """A digest of texts in its written form: hashed if the run is redacted."""
        return digest if self.redactor is None else self.redactor.hash(kind, digest)

    @contextmanager
    def unquoted(self) -> Iterator[None]:
        """A context for comparing the oracle with the run; the error of a redacted run quotes no question.

        Raises:
            DataError: the oracle's records have other questions.
        """
        try:
            yield
        except DataError:
            if self.redactor is None:
                raise
            raise DataError(
                "the oracle's records have other questions than the run's; evaluate it on the same suite"
            ) from None

    def write_evaluation(self, evaluation: Evaluation, records: Sequence[Record]) -> Evaluation:
        """Writes an evaluation, and its records unless it is in the middle of a stage.

        Returns it as the first process wrote it, in all processes.
        """

        def write() -> Evaluation:
            kept = evaluation
            if evaluation.point != "epoch":
                file = self.records_file(evaluation)
                self.write_records(file, records)
                kept = replace(evaluation, records=file.relative_to(self.path).as_posix())
            write_text(self._evaluation_file(kept), json.dumps(asdict(kept)))
            return kept

        return on_first(write)

    def write_records(self, file: Path, records: Sequence[Record]) -> None:
        """Writes a file of records."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_records(file, records if self.redactor is None else map(self.redactor.record, records))

    def find_evaluation(self, asked: Evaluation) -> Evaluation | None:
        """Reads the evaluation of this point, stage and step, in all processes; None if there is none.

        Raises:
            RunError: the file is damaged.
        """
        file = self._evaluation_file(asked)
        return on_first(lambda: _read_evaluation(file) if file.is_file() else None)

    def evaluations(self) -> list[Evaluation]:
        """All evaluations, by file name.

        Raises:
            RunError: a file is damaged.
        """
        return [_read_evaluation(file) for file in sorted(self.evaluations_folder.glob("*.json"))]

    def records_file(self, evaluation: Evaluation) -> Path:
        """The path of an evaluation's records."""
        return self.records_folder / f"{evaluation.file_stem}.jsonl"

    def _evaluation_file(self, evaluation: Evaluation) -> Path:
        return self.evaluations_folder / f"{evaluation.file_stem}.json"

    def write_measures(self, measures: Sequence[Measure]) -> None:
        """Writes the measures of a model that is measured without training."""
        by_first(lambda: write_text(self.measures_file, json.dumps([asdict(m) for m in measures], indent=1)))

    def measures(self) -> list[Measure]:
        """Reads the measures of a model that was measured without training.

        Raises:
            RunError: the file is damaged.
        """
        try:
            return _MEASURES.validate_json(self.measures_file.read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.measures_file}: cannot be read; remove it and measure again") from error

    def write_results(self, results: Results) -> None:
        """Writes the results; digests of the data are hashed if the run is redacted and they are not hashed yet."""
        if self.redactor is not None and not results.redacted:
            data = {
                role: {**facts, "sha256": self.redactor.hash("data", str(facts.get("sha256")))}
                for role, facts in results.data.items()
            }
            results = replace(results, data=data, redacted=True)
        values = {"format": FORMAT, **asdict(results)}
        del values["folder"]
        by_first(lambda: write_text(self.results_file, json.dumps(values, indent=1, ensure_ascii=False)))

    def results(self) -> Results:
        """Reads the results.

        Raises:
            RunError: no such folder, an unfinished run, or a file that does not hold results.
        """
        return read_results(self)


def _hashed(digests: Digests, redactor: Redactor) -> dict[str, dict[str, str]]:
    keyed = {name: {part: redactor.hash("data", d) for part, d in parts.items()} for name, parts in digests.items()}
    return {**keyed, REDACTED: {"key": redactor.name}}


def _read_evaluation(file: Path) -> Evaluation:
    return as_typed(_EVALUATION, read_object(file, what="an evaluation", mend=_AGAIN), file, _AGAIN)
