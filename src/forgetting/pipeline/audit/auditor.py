"""The attacks of one model after the other: each one's records and results, written when it is finished."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

from forgetting.audits import Attack, Target, subjects_of
from forgetting.core.digest import digest, examples_digest, file_digest
from forgetting.core.errors import DataError, ModelError, RunError
from forgetting.core.example import Example, Role
from forgetting.core.folder import partial_of
from forgetting.core.progress import Voice
from forgetting.core.record import Record, read_records
from forgetting.data.tokens import tokenizer_fingerprint
from forgetting.models.unchanged import Snapshot
from forgetting.pipeline.audit.asked import note_left_out
from forgetting.pipeline.audit.earlier_results import keep_earlier
from forgetting.pipeline.finished_run.models import RunModel
from forgetting.pipeline.finished_run.plugged import Chosen, watched
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.records import RECORDS, shared
from forgetting.pipeline.run.suites import undivided_suite_of
from forgetting.recipe import Recipe
from forgetting.runs.audits import Attacked, Audit
from forgetting.runs.folder import RunFolder
from forgetting.runs.output import OutputFolder
from forgetting.token_selection.model_view import ModelView

SPLITS = (Role.FORGET, Role.RETAIN, Role.HOLDOUT)
"""The roles that are attacked, if the run has examples of them."""
_ROUNDING = 1e-3


def weights_of(model: RunModel) -> str:
    """A digest of a model's weights as they were loaded."""
    return ModelView(model.view.model, model.view.adapters).fingerprint()


@dataclass(frozen=True)
class About:
    """What is known of the examples beside themselves."""

    forms: Sequence[Example]
    subjects: Mapping[str, Mapping[str, str]]
    """By split, the subject of each example by its id."""
    named: frozenset[str]
    """The attacks that were asked for by their own names."""

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        data: Mapping[str, StageData],
        examples: Mapping[str, Sequence[Example]],
        named: Sequence[str],
    ) -> About:
        """With the examples of the recipe's suites that share a group with one that is attacked, as other forms."""
        groups = {e.cluster for some in examples.values() for e in some}
        of_suites = (e for split in undivided_suite_of(recipe, data).splits for e in split.examples)
        forms = tuple(e for e in {e.id: e for e in of_suites}.values() if e.cluster in groups)
        return cls(forms, {split: subjects_of(some) for split, some in examples.items()}, frozenset(named))


@dataclass(frozen=True)
class Auditor:
    """Attacks one model after the other and writes the results."""

    folder: RunFolder
    recipe: Recipe
    examples: Mapping[str, Sequence[Example]]
    about: About
    oracle: str | None
    seed: int
    voice: Voice

    def attack(self, model: RunModel, whom: str, attacks: Sequence[Chosen[Attack]]) -> None:
        """Every attack on one model that is not finished yet; `whom` is the digest of its weights (`weights_of`)."""
        with model.view.active() as active:
            snapshots: list[Snapshot] = []
            runs = [_run_of(one) for one in attacks]
            same: dict[object, Sequence[Record]] = {}
            for chosen in attacks:
                there = self._kept(chosen).points.get(model.point)
                if there is not None and there.model == whom and self._has_records(there):
                    self.voice.say(f"{chosen.name}: the model {model.point} is already finished")
                    continue
                self.voice.say(f"{chosen.name}: attacking the model {model.point}")
                began = time.perf_counter()
                try:
                    records = same.get(_run_of(chosen)) or watched(
                        chosen, {model.point: active}, partial(self._answers, chosen, model, whom), snapshots
                    )
                except (DataError, ModelError) as error:
                    note_left_out(self.folder, chosen.name)
                    if chosen.name in self.about.named:
                        raise
                    self.voice.say(f"{chosen.name}: left out: {error}")
                    continue
                if runs.count(_run_of(chosen)) > 1:
                    same[_run_of(chosen)] = records
                self._write(chosen, model.point, whom, records, time.perf_counter() - began)

    def keep_earlier(self, attacks: Sequence[Chosen[Attack]]) -> None:
        """Keeps what attacks found that are asked otherwise now."""
        for one in attacks:
            keep_earlier(self.folder, one.name, self._asked(one))

    def _has_records(self, attacked: Attacked) -> bool:
        """Whether the records of a finished attack are as they were written."""
        file = self.folder.path / attacked.records
        return file.is_file() and attacked.records_sha256 in ("", file_digest(file))

    def finished(self, chosen: Chosen[Attack], models: Mapping[str, str]) -> Audit:
        """The stored results of an attack on the models of these digests, in their order."""
        there = self._kept(chosen).points
        points = [point for point, whom in models.items() if point in there and there[point].model == whom]
        return replace(self._kept(chosen), points={point: there[point] for point in points})

    def _answers(self, chosen: Chosen[Attack], model: RunModel, whom: str) -> Sequence[Record]:
        """The attack's records; of the model before and the oracle, shared by the runs of an output folder.

        A redacted run shares none, because they hold texts.
        """
        if model.point == "after" or self.folder.redactor is not None:
            return self._records(chosen, model)
        before = self._kept(chosen).points.get("before")
        about = (self._asked(chosen), whom, tokenizer_fingerprint(model.tokenizer), version("forgetting"))
        key = digest("attack", about, before.model if before is not None and model.point != "before" else "")
        made = False

        def make() -> Sequence[Record]:
            nonlocal made
            made = True
            return self._records(chosen, model)

        found = shared(OutputFolder(self.folder.path.parent).records, key, RECORDS, make, self.voice)
        if not made:
            self.voice.say(f"{chosen.name}: another run has attacked the model {model.point}; its records are taken")
        return found

    def _records(self, chosen: Chosen[Attack], model: RunModel) -> list[Record]:
        """Runs the attack on every split and checks its records."""
        found: list[Record] = []
        ids = {split: {e.id for e in examples} for split, examples in self.examples.items()}
        before = self._before(chosen, model)
        splits = [split for split in self.examples if split in chosen.call.splits]
        if not splits:
            raise DataError(f"the run has no {' or '.join(chosen.call.splits)} data to ask for; leave this attack out")
        for split in splits:
            target = Target(
                model=model.view.model,
                tokenizer=model.tokenizer,
                split=split,
                examples=self.examples[split],
                retain=self.examples.get(Role.RETAIN, ()),
                others=self.examples,
                before=[record for record in before if record.split == split],
                forms=self.about.forms,
                formatting=self.recipe.format,
                max_new_tokens=self.recipe.max_new_tokens,
                seed=self.seed,
                scratch=partial_of(self.folder.audits_folder / chosen.name),
                voice=self._noted(chosen, model, split),
            )
            for record in chosen.call.run(target):
                if not isinstance(record, Record) or record.id not in ids.get(record.split, ()):
                    raise RunError(
                        f"the {chosen} returned {_said(record)} for the split '{split}'; it must return records of "
                        "the run's splits, with the ids of their examples"
                    )
                if (logp := _impossible(record)) is not None:
                    raise RunError(
                        f"the {chosen} returned a log p of {logp:g} for an answer; that of a probability is 0 at most"
                    )
                found.append(replace(record, group=self.about.subjects[record.split][record.id]))
        return found

    def _before(self, chosen: Chosen[Attack], model: RunModel) -> list[Record]:
        """The attack's records of the model before; none for that model itself."""
        there = None if model.point == "before" else self._kept(chosen).points.get("before")
        return [] if there is None else read_records(self.folder.path / there.records)

    def _noted(self, chosen: Chosen[Attack], model: RunModel, split: str) -> Voice:
        def progress(done: int, total: int, note: str) -> None:
            self.voice.progress(done, total, f"{chosen.name}, {model.point}, {split}: {note}")

        return Voice(self.voice.say, progress)

    def _kept(self, chosen: Chosen[Attack]) -> Audit:
        """The stored results for these questions and settings; without models if they are for others."""
        asked = self._asked(chosen)
        there = Audit.load(self.folder.audit_file(chosen.name))
        return Audit(
            attack=chosen.name,
            asked=asked,
            source=chosen.source,
            parameters=chosen.parameters,
            leaks=chosen.call.leaks,
            seed=self.seed,
            oracle=self.oracle,
            points=there.points if there is not None and there.asked == asked else {},
        )

    def _asked(self, chosen: Chosen[Attack]) -> str:
        questions = [(str(role), examples_digest(self.examples.get(role, ()))) for role in SPLITS]
        if self.about.forms:
            questions.append(("forms", examples_digest(self.about.forms)))
        how = (chosen.name, chosen.source, sorted(chosen.parameters.items()), self.seed)
        asked = digest(questions, how, self.recipe.format.model_dump(), self.recipe.max_new_tokens)
        return self.folder.keyed("audit", asked)

    def _write(self, chosen: Chosen[Attack], point: str, whom: str, records: Sequence[Record], seconds: float) -> None:
        """Writes records first, so that the file that names them is correct."""
        splits = [s for s in self.examples if s in chosen.call.splits or any(r.split == s for r in records)]
        measures = chosen.call.measures({s: [r for r in records if r.split == s] for s in splits})
        file = self.folder.attack_records(chosen.name, point)
        written = self.folder.write_records(file, records)
        kept = file.relative_to(self.folder.path).as_posix()
        audit = self._kept(chosen)
        found = Attacked(model=whom, records=kept, records_sha256=written, measures=tuple(measures), seconds=seconds)
        replace(audit, points={**audit.points, point: found}).save(self.folder.audit_file(chosen.name))


def _run_of(chosen: Chosen[Attack]) -> object:
    """Equal for attacks that give the same records of one model."""
    return id(chosen.call.run), tuple(chosen.call.splits)


def _impossible(record: Record) -> float | None:
    """A log p of the record that no probability has; a little above 0 is rounding."""
    scores = (record.score, record.paraphrase, *record.perturbed)
    return next((score.logp for score in scores if score is not None and score.logp > _ROUNDING), None)


def _said(record: object) -> str:
    return f"a record of '{record.split}'" if isinstance(record, Record) else f"a {type(record).__name__}"
