"""The folder of one run: locked by one run at a time, written by the first process only, without texts if redacted."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from forgetting.core.errors import RowError, redacted
from forgetting.core.folder import is_kept, remove, remove_partial, write_text
from forgetting.core.locks import locked
from forgetting.core.measure import Measure
from forgetting.core.processes import by_first, first_holds
from forgetting.core.record import Record
from forgetting.data.reading import skipped_rows
from forgetting.data.shots import Shot
from forgetting.runs.began import DAY, Digests, hashed
from forgetting.runs.evaluations import Evaluations
from forgetting.runs.output import OutputFolder
from forgetting.runs.paths import RunPaths
from forgetting.runs.reading import RUN_AGAIN, as_typed, read_object, write_object
from forgetting.runs.redact import Redactor, redactor_of, write_hidden
from forgetting.runs.results import FORMAT, Prompt, Results, read_results
from forgetting.runs.stage_folder import StageFolder

_DIGESTS = TypeAdapter(dict[str, dict[str, str]])
_SHOTS = TypeAdapter(dict[str, list[Shot]])
_MEASURES = TypeAdapter(dict[str, list[Measure]])


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
    def evaluations(self) -> Evaluations:
        """Its evaluations and their records."""
        return Evaluations(self.path, self.redactor)

    @property
    def has_trained(self) -> bool:
        """Whether a stage wrote a checkpoint."""
        return self.is_finished or any(is_kept(stage.last) for stage in self.stages())

    @property
    def day(self) -> datetime.date | None:
        """The day that the chat template writes in a run that has trained; None if it writes none.

        Raises:
            RunError: the environment is damaged.
        """
        if not (self.has_trained and self.environment_file.is_file()):
            return None
        said = self.environment().get(DAY)
        return None if said is None else datetime.date.fromisoformat(said)

    def digests(self) -> Digests:
        """Of the data and the model that a run began with, hashed in a redacted run; empty where none were written.

        Raises:
            RunError: the file is damaged.
        """
        if not self.data_file.is_file():
            return {}
        raw = read_object(self.data_file, what="the digests of the data", mend=RUN_AGAIN)
        return as_typed(_DIGESTS, raw, self.data_file, RUN_AGAIN)

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
        with self.held():
            if not self.has_trained:
                shutil.rmtree(self.evaluations_folder, ignore_errors=True)
                shutil.rmtree(self.records_folder, ignore_errors=True)
            redactor = redactor_of(self.path.parent) if redact else None
            kept = digests if redactor is None else hashed(digests, redactor)
            self.write_recipe(recipe)
            write_object(self.data_file, kept, indent=1)
            write_object(self.environment_file, environment, indent=1)
            yield replace(self, redactor=redactor)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Locks the folder for this process, and removes what killed processes left half-written in it.

        Raises:
            RunError: another process holds the folder, or it cannot be written.
        """
        with locked(self.path):
            remove_partial(self.path)
            yield

    def write_recipe(self, recipe: str) -> None:
        """Writes the recipe, as YAML."""
        by_first(lambda: write_text(self.recipe_file, recipe))

    def write_skipped(self, rows: Sequence[RowError]) -> None:
        """Writes which rows of the data were left out, and why; no file where none was."""
        if rows:
            by_first(lambda: write_text(self.skipped_file, skipped_rows(rows)))

    def write_shots(self, shots: Sequence[Shot]) -> None:
        """Writes the examples that are shown before questions; they are never of a forget set.

        A redacted run keeps their texts, by which it can be asked again, and not the ids of what they tell.
        """
        kept = [s if self.redactor is None else s.model_copy(update={"group": ""}) for s in shots]
        by_first(lambda: write_object(self.shots_file, {"shots": [s.model_dump() for s in kept]}, indent=1))

    def shots(self) -> list[Shot] | None:
        """The examples that a run shows before questions; None if it shows none.

        Raises:
            RunError: the file is damaged.
        """
        file = self.shots_file
        if not file.is_file():
            return None
        return as_typed(_SHOTS, read_object(file, what="shots", mend=RUN_AGAIN), file, RUN_AGAIN).get("shots", [])

    @property
    def began_in(self) -> str | None:
        """The precision of a run that has trained; None if it has not, or does not say."""
        if not (self.has_trained and self.environment_file.is_file()):
            return None
        said = self.environment().get("dtype")
        return said if isinstance(said, str) else None

    def environment(self) -> dict[str, Any]:
        """The environment of the run.

        Raises:
            RunError: the file is missing or damaged.
        """
        return read_object(self.environment_file, what="an environment", mend=RUN_AGAIN)

    def hiding(self) -> RunFolder:
        """The folder of a finished run; it writes no texts if the run is redacted or purged.

        Raises:
            RunError: no finished run.
        """
        results = self.results()
        return replace(self, redactor=redactor_of(self.path.parent) if results.redacted or results.purged else None)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """A context for work on a finished run: if that is redacted or purged, no error quotes its data.

        Raises:
            RunError: no finished run.
        """
        results = self.results()
        with redacted(bool(results.redacted or results.purged)):
            yield

    def keyed(self, kind: str, digest: str) -> str:
        """A digest of texts in its written form: hashed if the run is redacted."""
        return digest if self.redactor is None else self.redactor.hash(kind, digest)

    def write_records(self, file: Path, records: Sequence[Record]) -> str:
        """Writes a file of records, and returns its SHA-256."""
        return write_hidden(file, records, self.redactor)

    def discard(self, stage: str) -> None:
        """Removes the folder of a stage, its evaluations and their records."""
        remove(self.stage(stage).path)
        self.evaluations.discard(stage)

    def write_prompt(self, prompt: Prompt | None) -> None:
        """Writes how the model was asked, for the report; nothing if the run is redacted."""
        if prompt is not None and self.redactor is None:
            by_first(lambda: write_object(self.prompt_file, asdict(prompt), indent=1))

    def write_measures(self, measures: Sequence[Measure]) -> None:
        """Writes the measures of a model that is measured without training."""
        by_first(lambda: write_object(self.measures_file, {"measures": [asdict(m) for m in measures]}, indent=1))

    def measures(self) -> list[Measure]:
        """Reads the measures of a model that was measured without training.

        Raises:
            RunError: the file is damaged.
        """
        file, mend = self.measures_file, "remove it and measure again"
        return as_typed(_MEASURES, read_object(file, what="measures", mend=mend), file, mend).get("measures", [])

    def write_pruned(self, why: str) -> None:
        """Notes that a tuning ended the run early, and why."""
        by_first(lambda: write_object(self.pruned_file, {"why": why}))

    def pruned(self) -> str:
        """Why a tuning ended the run early; empty if none did.

        Raises:
            RunError: the file is damaged.
        """
        if not self.pruned_file.is_file():
            return ""
        return str(read_object(self.pruned_file, what="why a run was ended", mend=RUN_AGAIN).get("why"))

    def write_begun(self, results: Results) -> None:
        """Writes what is known of the results when the run begins, for those who look at it before its end."""
        values = self._written(results)
        by_first(lambda: write_object(self.begun_file, values, indent=1))

    def write_results(self, results: Results) -> None:
        """Writes the results; digests and ids of the data are hashed if the run is redacted and they are not yet."""
        values = self._written(results)
        for file in (self.begun_file, self.so_far_file):
            by_first(partial(file.unlink, missing_ok=True))
        by_first(lambda: write_object(self.results_file, values, indent=1))

    def _written(self, results: Results) -> dict[str, Any]:
        if self.redactor is not None and not results.redacted:
            data = {
                role: {**facts, "sha256": self.redactor.hash("data", str(facts.get("sha256")))}
                for role, facts in results.data.items()
            }
            subsets = {name: self.redactor.subset(subset) for name, subset in results.subsets.items()}
            earlier = {name: tuple(map(self.redactor.subset, sets)) for name, sets in results.earlier_sets.items()}
            results = replace(results, data=data, subsets=subsets, earlier_sets=earlier, redacted=True)
        values = {"format": FORMAT, **asdict(results)}
        del values["folder"], values["read_as"]
        return values

    def results(self) -> Results:
        """Reads the results.

        Raises:
            RunError: no such folder, an unfinished run, or a file that does not hold results.
        """
        return read_results(self)
