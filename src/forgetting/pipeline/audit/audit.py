"""Attacks the models of a finished run and writes the results; resumable by attack and model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from forgetting.audits import ATTACKS, Attack, Target, as_attack, attacks_of, subjects_of
from forgetting.audits.leaks import VALUES
from forgetting.core.digest import digest, examples_digest, file_digest
from forgetting.core.errors import DataError, ModelError, RecipeError, RunError, nearest
from forgetting.core.example import Example, Role
from forgetting.core.folder import partial_of
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, read_records
from forgetting.data.tokens import tokenizer_fingerprint
from forgetting.models.expression import terms_of
from forgetting.models.places import check_place
from forgetting.models.unchanged import Snapshot
from forgetting.pipeline.audit.asked import note_asked, note_left_out
from forgetting.pipeline.audit.earlier_results import keep_earlier
from forgetting.pipeline.finished_run.examples import FACTS, data_of, examples_of
from forgetting.pipeline.finished_run.models import RunModel, models_of, oracle_of, recipe_of
from forgetting.pipeline.finished_run.plugged import Chosen, chosen, watched
from forgetting.pipeline.run.prepare import StageData, of_role
from forgetting.pipeline.run.records import RECORDS, shared
from forgetting.pipeline.run.source import model_source
from forgetting.pipeline.run.suites import division_of, undivided_suite_of
from forgetting.recipe import Recipe
from forgetting.runs.audits import Attacked, Audit
from forgetting.runs.folder import RunFolder
from forgetting.runs.output import OutputFolder
from forgetting.token_selection.model_view import ModelView

SPLITS = (Role.FORGET, Role.RETAIN, Role.HOLDOUT)
"""The roles that are attacked, if the run has examples of them."""
_ROUNDING = 1e-3


def audit(
    folder: Path,
    *,
    attacks: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    oracle: str | None = None,
    seed: int = 0,
    facts: int = FACTS,
    voice: Voice = SILENT,
) -> list[Audit]:
    """Runs each attack on the model before the run, after it, and on the oracle, and returns the results.

    Every model gets the same questions, from forget, retain and holdout examples; of a divided run, only the forget
    examples by which nothing was chosen. `audits/NAME.json` and its records
    are written after each model; finished results for the same model, questions and parameters are not run again. Those
    of the model before and of the oracle are shared by the runs of an output folder. The records of a redacted or
    purged run hold no texts, and are not shared. What an attack found that is asked otherwise now is kept beside.

    Args:
        folder: a finished run's.
        attacks: their names, or `fast`, `standard`, `all`; empty: `standard`. An attack that the run's data or model do
            not allow is left out, and it is said, unless it is named itself.
        settings: parameters by the attack's name.
        oracle: a model that never saw the forget set; None: the run's own, if it has one.
        seed: of all random choices of the attacks.
        facts: maximum number of forget examples.
        voice: receives progress and notes.

    Raises:
        RecipeError: an unknown attack, or a parameter that it does not take.
        RunError: no finished run, changed data, an oracle with another tokenizer or the weights of the model after, or
            an attack that fails or changes a model.
        ModelError: there is no such oracle.
        DataError: the run has no forget data, or data that cannot be read.
    """
    recipe = recipe_of(folder)
    with RunFolder(folder).quiet():
        asked = chosen_attacks(attacks, settings or {})
        data = data_of(folder, recipe)
        by = _chosen_by(recipe, data)
        known = examples_of(recipe, data, facts=facts, without=by)
        apart = sum(e.cluster in by for e in of_role(data, Role.FORGET))
        if apart:
            voice.say(f"divide: {apart} forget examples by which something was chosen are not attacked")
        examples = {str(split): known[split] for split in SPLITS if split in known}
        if Role.FORGET not in examples:
            raise DataError(f"{folder}: has no forget data, so there is nothing to audit; audit a run that forgets")
        oracle = oracle or oracle_of(recipe, data, voice)
        for term in () if oracle is None else terms_of(oracle):
            check_place(model_source(term.model))
        with RunFolder(folder).held():
            about = About.of(recipe, data, examples, attacks)
            auditor = Auditor(RunFolder(folder).hiding(), recipe, examples, about, oracle, seed, voice)
            note_asked(RunFolder(folder), [one.name for one in asked], oracle=oracle is not None, chosen_by=apart)
            auditor.keep_earlier(asked)
            models: dict[str, str] = {}
            own: PreTrainedTokenizerBase | None = None
            for model in models_of(folder, recipe, oracle=oracle, voice=voice):
                own = own or model.tokenizer
                _check_comparable(model, own, models, examples[Role.FORGET])
                models[model.point] = auditor.attack(model, asked)
                del model  # otherwise it stays in memory while the next one is loaded
            return [found for attack in asked if (found := auditor.finished(attack, models)).points]


def _weights_of(model: RunModel) -> str:
    """A digest of a model's weights as they were loaded."""
    return ModelView(model.view.model, model.view.adapters).fingerprint()


def _check_comparable(
    model: RunModel, before: PreTrainedTokenizerBase, weights: Mapping[str, str], facts: Sequence[Example]
) -> None:
    """Checks that a model reads answers as the tokens that the model before reads, and is not that after by two names.

    Args:
        model: the next one to be attacked.
        before: the tokenizer of the model before.
        weights: their digests, of the models that were attacked already.
        facts: to be asked for.
    """
    if model.point == "oracle" and _weights_of(model) == weights["after"]:
        raise RunError(
            "the oracle has the very weights of the model after the run, so nothing would be compared; name a model "
            "that was trained without the forget set"
        )
    said = [fact.response for fact in facts if fact.form != "tokens"]
    if said and _ids_of(said, model.tokenizer) != _ids_of(said, before):
        raise RunError(
            f"the model {model.point} has another tokenizer than the model before, and a probability by the token "
            "compares only where tokens are the same; name an oracle with the same tokenizer"
        )


def _ids_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def _chosen_by(recipe: Recipe, data: Mapping[str, StageData]) -> frozenset[str]:
    """The clusters that settings or checkpoints of the run were chosen by."""
    if recipe.divide is None:
        return frozenset()
    return division_of(recipe, undivided_suite_of(recipe, data)).selected


def chosen_attacks(names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> list[Chosen[Attack]]:
    """The attacks that names of attacks and sets stand for, with their parameters; no names: `standard`.

    Raises:
        RecipeError: an unknown name or parameter, an invalid value, or an attack compared by a value that is unknown.
    """
    named = chosen(ATTACKS, attacks_of(names or ("standard",)), settings)
    asked = [replace(one, call=as_attack(one.call)) for one in named]
    for one in asked:
        for value in one.call.leaks:
            if value not in VALUES:
                raise RecipeError(f"the {one} is to be compared by '{value}'; {nearest(value, VALUES)}")
    return asked


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

    def attack(self, model: RunModel, attacks: Sequence[Chosen[Attack]]) -> str:
        """Every attack on one model that is not finished yet; returns the digest of its weights."""
        whom = _weights_of(model)
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
        return whom

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
