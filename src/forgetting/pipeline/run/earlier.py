"""Earlier runs that a model comes from, and what a run measures or learns of what they were to forget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Suite
from forgetting.core.example import Example, Role
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, read_records
from forgetting.core.subset import Subset
from forgetting.evaluation.records import record_of
from forgetting.models.expression import terms_of
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.source import made_by
from forgetting.recipe import Stage
from forgetting.report.verdict.models import asked_to_forget, stage_of
from forgetting.runs.folder import RunFolder
from forgetting.runs.redact import Redactor, known_redactor
from forgetting.runs.register import Request, read_register
from forgetting.runs.results import Results, distinct


@dataclass(frozen=True)
class Earlier:
    """What one earlier run was to forget."""

    name: str
    records: Mapping[str, Record]
    """Of the examples that were measured, by id; empty if that is not known."""
    redactor: Redactor | None
    """What ids and texts are hashed with; None if they are not."""
    folder: str = ""
    """Where it lies, as far as that tells it from another run of its name."""
    whole: bool = True
    """Whether these are all of what it measured."""

    def among(self, examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, str]]:
        """What each of these examples that the run was to forget is to it (its text, or its hashed id), and its id.

        Texts decide, whatever the ids: the same document has one id in a folder and another in a table, and another
        document may bear an id. Hashed texts are hashed with their ids, so there both must agree.
        """
        return [(key, e.id) for e in examples if (key := self._key(e, tokenizer)) is not None]

    @property
    def size(self) -> int:
        """How many different texts it was to forget, of those that were measured."""
        return len(self.records) if self.redactor is not None else len(self._texts)

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(_text(record) for record in self.records.values())

    def _key(self, example: Example, tokenizer: PreTrainedTokenizerBase) -> str | None:
        if self.redactor is None:
            text = _text(record_of(example, "", tokenizer))
            return text if text in self._texts else None
        hashed = self.redactor.id(example.id)
        known = self.records.get(hashed)
        if known is None:
            return None
        own = self.redactor.record(record_of(example, known.split, tokenizer))
        return hashed if (own.prompt, own.answer) == (known.prompt, known.answer) else None


def _text(record: Record) -> str:
    """Question and answer without their spacing: a line of a table has no line break at its end, a file has."""
    return " ".join(f"{record.prompt}\n{record.answer}".split())


def earlier_requests(model: str) -> list[Earlier]:
    """The runs that made the model and were to forget something, the latest first, each by a name of its own.

    Where the run that a run began with is not found, what the latter says of earlier ones is taken over. A run that has
    a model and no results (any more) may have been to forget something: it stands there without examples.

    Args:
        model: as a recipe names it: a run, the model in a run's folder, or anything else.

    Raises:
        RunError: the results or records of such a run are damaged.
    """
    found: list[Earlier] = []
    seen: set[Path] = set()
    origin = _origin(model)
    while origin is not None and origin[0].resolve() not in seen:
        place, stage = origin
        seen.add(place.resolve())
        if not RunFolder(place).is_finished:
            found.append(Earlier(place.name, {}, None, _folder(place)))
            break
        results = Results.load(place)
        done = _until(results, stage)
        if asked_to_forget(done):
            found.append(_own(place, done))
        origin = _origin(results.model, _started_in(place, results))
        if origin is None:
            found += _taken_over(place, results)
    names = distinct([(one.name, one.folder) for one in found])
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]


def earlier_runs(folder: Path) -> list[Path]:
    """The folders of the finished runs that the model of a finished run comes from, the latest first.

    Raises:
        RunError: the results of one of them are damaged.
    """
    found: list[Path] = []
    place = folder
    while True:
        results = Results.load(place)
        origin = _origin(results.model, _started_in(place, results))
        if origin is None or not RunFolder(origin[0]).is_finished:
            return found
        place = origin[0]
        if place.resolve() in {p.resolve() for p in (folder, *found)}:
            return found
        found.append(place)


def earlier_register(model: str) -> tuple[Request, ...]:
    """The register of the run that made a model; empty if no run made it, or it was never audited.

    Args:
        model: as a recipe names it.

    Raises:
        RunError: the register is damaged.
    """
    origin = _origin(model)
    return () if origin is None else read_register(RunFolder(origin[0]).register_file)


def measured_sets(
    earlier: Sequence[Earlier], suite: Suite, tokenizer: PreTrainedTokenizerBase
) -> dict[str, tuple[Subset, ...]]:
    """By run, its examples in the splits of the suite, each text once: in a split to forget, if one has it."""
    splits = sorted(suite.splits, key=lambda split: split.name not in suite.declares.forget_splits)
    found: dict[str, tuple[Subset, ...]] = {}
    for one in earlier:
        sets, taken = list[Subset](), set[str]()
        for split in splits:
            new = {key: name for key, name in reversed(one.among(split.examples, tokenizer)) if key not in taken}
            taken.update(new)
            sets += [Subset(of=split.name, ids=tuple(reversed(new.values())))] if new else []
        if sets:
            found[one.name] = tuple(sets)
    return found


def unmeasured_requests(earlier: Sequence[Earlier], sets: Mapping[str, Sequence[Subset]]) -> tuple[str, ...]:
    """The names of the runs that were to forget examples that are not measured, or that are not known.

    What they forgot may have come back.
    """
    measured = {name: sum(len(subset.ids) for subset in found) for name, found in sets.items()}
    return tuple(
        one.name for one in earlier if not one.records or not one.whole or measured.get(one.name, 0) < one.size
    )


def learned_again(
    earlier: Sequence[Earlier],
    stages: Sequence[Stage],
    data: Mapping[str, StageData],
    tokenizer: PreTrainedTokenizerBase,
    voice: Voice = SILENT,
) -> dict[str, int]:
    """By earlier run, how many examples that it was to forget a stage learns or is to keep; each is warned of."""
    found: dict[str, int] = {}
    for stage in (s for s in stages if s.trains):
        for role in (r for r in (Role.TRAIN, Role.RETAIN) if r in stage.objective().roles):
            for one in earlier:
                count = len(one.among(data[stage.name].examples.get(role, ()), tokenizer))
                if count:
                    found[one.name] = max(count, found.get(one.name, 0))
                    voice.say(
                        f"warning: stage {stage.name}: {count} of its {role} examples are what run {one.name} was to "
                        "forget: the model learns them again"
                    )
    return found


def _origin(model: str, started_in: Path | None = None) -> tuple[Path, str | None] | None:
    """The run that made a model, and the stage after which it was, if not the last; None if no run is still there.

    Args:
        model: as a recipe names it.
        started_in: the folder that a relative path begins at; None: the working folder.
    """
    terms = terms_of(model)
    made = made_by((started_in or Path()) / terms[0].model) if len(terms) == 1 else None
    if made is None:
        return None
    run = RunFolder(made[0])
    return made if run.is_finished or run.model.is_dir() else None


def _until(results: Results, stage: str | None) -> Results:
    """The results with the stages up to one of them, and with what these were given; all if it names none."""
    names = [s.name for s in results.stages]
    if stage not in names:
        return results
    later = {f"({name})" for name in names[names.index(stage) + 1 :]}
    data = {name: facts for name, facts in results.data.items() if name.partition(" ")[2] not in later}
    return replace(results, stages=results.stages[: names.index(stage) + 1], data=data)


def _started_in(place: Path, results: Results) -> Path | None:
    """The working folder in which a run was started, if its recipe has a relative output folder: where that lies."""
    inside = Path(str(results.recipe.get("output", "/")), results.name)
    there = place.absolute()
    if inside.is_absolute() or there.parts[-len(inside.parts) :] != inside.parts:
        return None
    return there.parents[len(inside.parts) - 1]


def _folder(place: Path) -> str:
    return f"{place.absolute().parent.name}/{place.name}"


def _own(place: Path, results: Results) -> Earlier:
    """What the run at a place was to forget itself, in the stages that the results have."""
    records, declared = _records(place), results.declared.forget_splits[:1]
    found = [record for record in records if record.split.endswith(Role.FORGET)]
    found = found or [record for record in records if record.split in declared]
    sets = [s for split, s in results.subsets.items() if split.endswith(Role.FORGET) and stage_of(results, split)]
    if sets:
        ids = {key for one in sets for key in one.ids}
        found = [record for record in found if record.id in ids]
    given = {f.get("sha256"): f for name, f in results.data.items() if name.split(" ")[0] == Role.FORGET}
    whole = len(found) >= sum(f.get("examples") or 0 for f in given.values())
    return _known(place, Earlier(results.name, {}, None, _folder(place), whole=whole), found)


def _taken_over(place: Path, results: Results) -> list[Earlier]:
    """What the run at a place says of runs before it."""
    records, found = _records(place), []
    for name in dict.fromkeys((*results.earlier_sets, *results.earlier)):
        ids = {(subset.of, key) for subset in results.earlier_sets.get(name, ()) for key in subset.ids}
        one = Earlier(name, {}, None, "earlier", whole=name not in results.earlier)
        found.append(_known(place, one, [record for record in records if (record.split, record.id) in ids]))
    return found


def _records(place: Path) -> list[Record]:
    """What the run at a place measured of the model before it."""
    file = RunFolder(place).records_folder / "before.jsonl"
    return read_records(file) if file.is_file() else []


def _known(place: Path, one: Earlier, records: Sequence[Record]) -> Earlier:
    """The earlier run with its examples among the records of the run at a place; without, if their key is lost."""
    if not any(record.redacted is not None for record in records):
        return replace(one, records={r.id: r for r in records})
    redactor = known_redactor(place.parent)
    return one if redactor is None else replace(one, records={r.id: r for r in records}, redactor=redactor)
