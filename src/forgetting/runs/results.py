"""The results of one run as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, TypeAdapter

from forgetting.core.declaration import Declaration
from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.record import Record, read_records
from forgetting.core.subset import Subset
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.not_a_run import contents, no_run
from forgetting.runs.paths import RunPaths
from forgetting.runs.reading import as_typed, read_object
from forgetting.runs.stage_folder import StageFolder
from forgetting.runs.stage_result import StageResult, Step
from forgetting.runs.token_selection import TokenSelection
from forgetting.runs.undeclared import guessed

FORMAT = 1
"""The format of results.json and sweep.json; a file of another format is not read."""
T = TypeVar("T")

Status = Literal["complete", "collapsed", "stopped", "unfinished"]


def _several(found: Any) -> Any:
    """What is measured of an earlier run: one set in files of earlier versions."""
    return (found,) if isinstance(found, Mapping) else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of the run: seconds, bytes, counts, FLOPs. None if it was not recorded."""

    seconds: float | None = None
    prepare_seconds: float | None = None
    train_seconds: float | None = None
    evaluation_seconds: float | None = None
    peak_memory_bytes: int | None = None
    trainable_parameters: int | None = None
    total_parameters: int | None = None
    steps: int | None = None
    supervised_tokens: int | None = None
    flops: Mapping[str, float | str | None] = field(default_factory=dict)
    """FLOPs by role, `reference`, `importance`, `evaluation` and `total`; `reason` says why there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One setting that was tried; `score` is None if the trial gave none."""

    label: str
    score: float | None = None
    chosen: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How a setting was chosen among candidates."""

    rule: str
    candidates: tuple[Candidate, ...] = ()
    budget: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The first example of a split as the model sees it, special tokens included."""

    split: str
    text: str
    """Up to where the answer begins."""
    answer: str
    """The right answer as it is scored, with its end."""
    tokens: int
    """Of the prompt."""


_PROMPT = TypeAdapter(Prompt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that a report shows about one run."""

    folder: Path
    name: str
    status: Status
    created: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_yaml: str = ""
    recipe_sha256: str = ""
    """Of the file that the run was made with: `recipe.yaml`."""
    question: str = ""
    model: str = ""
    oracle: str | None = None
    suite: str = ""
    declaration: Declaration | None = None
    """What the suites declared about their measures; None in files older than declarations."""
    subsets: Mapping[str, Subset] = field(default_factory=dict)
    """Splits that are measured and whose records are among those of another; empty in files older than this."""
    evaluated: bool = False
    """Whether it is a model that was measured as it is, and nothing was trained."""
    redacted: bool = False
    """Whether its files have keyed hashes instead of texts."""
    earlier: tuple[str, ...] = ()
    """Runs that the model comes from, whose forget sets this one does not measure, or not whole."""
    earlier_unknown: tuple[str, ...] = ()
    """Those of them of which nothing says any more which examples they were to forget; empty in older files."""
    earlier_sets: Mapping[str, Annotated[tuple[Subset, ...], BeforeValidator(_several)]] = field(default_factory=dict)
    """By run that the model comes from, what this one measures of its forget sets, in one split or several."""
    earlier_learned: Mapping[str, int] = field(default_factory=dict)
    """By such a run, how many examples that it was to forget this one learns or keeps; empty in older files."""
    purged: str = ""
    """When texts and earlier weights were removed; empty if they were not."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    corpus: Mapping[str, Any] | None = None
    """What was drawn from each source of a corpus; None if the run trains on whole sets."""
    evaluations: tuple[Evaluation, ...] = ()
    stages: tuple[StageResult, ...] = ()
    cost: Cost = field(default_factory=Cost)
    selection: Selection | None = None
    read_as: Mapping[str, str] = field(default_factory=dict)
    """Splits of its records that are read under another name (`with_names`); in no file."""

    def with_names(self, splits: Mapping[str, str]) -> Results:
        """A copy in which splits bear other names, in measures, records and declaration."""
        evaluations = tuple(
            replace(
                e,
                measures=tuple(replace(m, split=splits.get(m.split, m.split)) for m in e.measures),
                popularity=tuple(replace(p, split=splits.get(p.split, p.split)) for p in e.popularity),
            )
            for e in self.evaluations
        )
        subsets = {
            splits.get(name, name): replace(subset, of=splits.get(subset.of, subset.of))
            for name, subset in self.subsets.items()
        }
        earlier = {
            name: tuple(replace(s, of=splits.get(s.of, s.of)) for s in sets) for name, sets in self.earlier_sets.items()
        }
        return replace(
            self,
            evaluations=evaluations,
            declaration=self.declared.with_names(splits),
            subsets=subsets,
            earlier_sets=earlier,
            read_as={**self.read_as, **splits},
        )

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Reads the results of a run folder; a non-finite value is treated as missing, and its reason says so.

        Raises:
            RunError: no such folder, an unfinished run, or a file that does not hold results.
        """
        results = read_results(RunPaths(folder))
        return replace(results, evaluations=tuple(e.finite() for e in results.evaluations))

    @property
    def declared(self) -> Declaration:
        """The declaration of its measures; inferred from their names if the file is too old to have one."""
        if self.declaration is not None:
            return self.declaration
        keys = dict.fromkeys(m.key for m in self.measures)
        return guessed(list(keys), [stage.name for stage in self.stages], trains=self.trains)

    @property
    def measures(self) -> list[Measure]:
        """The measures of its end first, so that a measure of the start alone does not come first."""
        found = [e for e in (self.after, self.before, self.oracle_evaluation) if e is not None]
        return [m for evaluation in (*found, *self.evaluations) for m in evaluation.measures]

    @property
    def before(self) -> Evaluation | None:
        """The initial model; None if it was not measured."""
        return next((e for e in self.evaluations if e.point == "before"), None)

    @property
    def trains(self) -> bool:
        """Whether a stage learns new data, and not only the retained data."""
        return any(name.split(" ")[0] == "train" for name in self.data)

    @property
    def oracle_evaluation(self) -> Evaluation | None:
        """The model that never saw the forget set; None if there is none."""
        return next((e for e in self.evaluations if e.point == "oracle"), None)

    @property
    def afters(self) -> tuple[Evaluation, ...]:
        """The model after each measured stage, in order."""
        return tuple(e for e in self.evaluations if e.point == "after")

    @property
    def after(self) -> Evaluation | None:
        """The final model of the run; None if it was not measured, or the run is not finished."""
        return self.afters[-1] if self.afters and self.status != "unfinished" else None

    def records(self, evaluation: Evaluation | None) -> list[Record]:
        """The records of an evaluation; empty if none were kept.

        Raises:
            RunError: the results name a file that is missing, damaged or outside the run folder.
        """
        if evaluation is None or evaluation.records is None:
            return []
        path = self.folder / evaluation.records
        if not path.resolve().is_relative_to(self.folder.resolve()):
            file = RunPaths(self.folder).results_file
            raise RunError(f"{file}: records {evaluation.records!r} lie outside the run folder")
        if evaluation.records_sha256 and path.is_file() and file_digest(path) != evaluation.records_sha256:
            raise RunError(
                f"{path}: is damaged: it does not have the SHA-256 that the run wrote down; bring it back, or remove "
                "the run's folder and start it again"
            )
        records = read_records(path)
        return [replace(r, split=self.read_as.get(r.split, r.split)) for r in records] if self.read_as else records

    @property
    def prompt(self) -> Prompt | None:
        """How the model was asked; None if that was not written: hidden, removed by a purge, or of an earlier version.

        Raises:
            RunError: the file does not hold a prompt.
        """
        file, mend = RunPaths(self.folder).prompt_file, "remove the file"
        if not file.is_file():
            return None
        return as_typed(_PROMPT, read_object(file, what="a prompt", mend=mend), file, mend)

    def history(self, stage: str) -> list[Step]:
        """The optimiser steps of a stage; empty if it wrote none.

        Raises:
            RunError: a line is not a step.
        """
        digest = next((s.history_sha256 for s in self.stages if s.name == stage), "")
        return self._stage(stage).history(digest, growing=self.status == "unfinished")

    def token_selection(self, stage: str) -> TokenSelection | None:
        """How a stage selected its tokens; None if it selected none.

        Raises:
            RunError: the file does not hold a selection.
        """
        return self._stage(stage).selection()

    def _stage(self, name: str) -> StageFolder:
        return StageFolder(RunPaths(self.folder).stages_folder / name)


def labels(runs: Sequence[Results]) -> list[str]:
    """One name per run; runs that share a name are distinguished by folder, then by number."""
    return distinct([(run.name, run.folder.name) for run in runs])


def distinct(runs: Sequence[tuple[str, str]]) -> list[str]:
    """The same of the names of runs and of their folders."""
    names = [name for name, _ in runs]
    named = [name if names.count(name) == 1 else f"{name} ({folder})" for name, folder in runs]
    return [n if named.count(n) == 1 else f"{n} #{1 + named[:i].count(n)}" for i, n in enumerate(named)]


def read_results(folder: RunPaths) -> Results:
    """Reads the results of a run folder.

    Raises:
        RunError: no such folder, an unfinished run, a folder of runs, or a file that does not hold results.
    """
    if not folder.path.is_dir():
        raise RunError(f"{folder.path}: {no_run(folder.path)}")
    if not folder.is_finished:
        raise RunError(f"{folder.path}: {contents(folder.path)}")
    return read_formatted(TypeAdapter(Results), folder.results_file)


def read_formatted(kind: TypeAdapter[T], file: Path) -> T:
    """Reads a file of results as a typed value, which also gets its `folder`.

    Raises:
        RunError: the file does not hold what this version writes.
    """
    raw = read_object(file, what="the results of a run", mend="remove the file and start the run again")
    if raw.get("format") != FORMAT:
        raise RunError(
            f"{file}: format is {raw.get('format')!r}, this version reads {FORMAT}; remove it and start the run again"
        )
    return as_typed(kind, {**raw, "folder": file.parent}, file, "remove the file and start the run again")
