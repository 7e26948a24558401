"""Facts of earlier requests, which their owner supplies again, under the attacks on the model as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forgetting.audits.certificate import evidence
from forgetting.audits.certificate.bounds import Bound, bound
from forgetting.audits.certificate.words import bound_sentence
from forgetting.audits.leaks import BY_WORDS
from forgetting.core.errors import DataError, RunError
from forgetting.core.example import Example, Role
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import read_records
from forgetting.data.examples import overlap
from forgetting.data.reading import Heard
from forgetting.data.source import Source
from forgetting.pipeline.audit.audit import chosen_attacks
from forgetting.pipeline.audit.auditor import SPLITS, About, Auditor, weights_of
from forgetting.pipeline.audit.register import requests_to
from forgetting.pipeline.finished_run.examples import data_of, examples_of
from forgetting.pipeline.finished_run.models import models_of, recipe_of
from forgetting.pipeline.run.earlier import earlier_runs
from forgetting.pipeline.run.prepare import source_examples
from forgetting.recipe import Recipe
from forgetting.runs.audits import Audit
from forgetting.runs.earlier_folder import EarlierFolder
from forgetting.runs.folder import RunFolder
from forgetting.runs.redact import Redactor, known_redactor, redactor_of
from forgetting.runs.register import Again, Request, commitment_to, commitment_to_each
from forgetting.runs.results import Results


@dataclass(frozen=True, slots=True)
class Supplied:
    """Facts of one earlier request."""

    request: Request
    facts: tuple[Example, ...]


def supplied(folder: Path, file: Path, voice: Voice = SILENT) -> list[Supplied]:
    """The rows of a file by the earlier request that they belong to, found by the commitments of the run's register.

    Args:
        folder: a finished run's.
        file: rows in the form of the run's own forget data, or with the usual columns.
        voice: hears what is left out.

    Raises:
        DataError: a row that cannot be read, or that no earlier request holds.
        RunError: the register names no earlier request, or the key of one is not there.
    """
    recipe = recipe_of(folder)
    results = Results.load(folder)
    known = [r for r in requests_to(folder) if (r.id, r.date) != (results.name, results.created)]
    requests = [request for request in known if request.commitment]
    if not requests:
        why = "none of them was ever audited" if known else "its model comes from no earlier run that was to forget"
        raise RunError(f"{folder}: has no earlier request to compare rows with: {why}; leave --earlier out")
    keys = _keys(folder, requests)
    with RunFolder(folder).quiet():
        rows = _rows(file, recipe, voice)
        found = {request: [e for e in rows if _holds(request, e, keys[request.key])] for request in requests}
        for request in requests:
            if not request.each and commitment_to(rows, keys[request.key]) == request.commitment:
                found[request] = list(rows)
        ids = {e.id for some in found.values() for e in some}
        strange = [e for e in rows if e.id not in ids]
        if strange:
            names = ", ".join(request.id for request in requests)
            more = f", nor do {len(strange) - 1} of the rows after it" if len(strange) > 1 else ""
            raise DataError(
                f"{strange[0].place}: this row belongs to no earlier request ({names}){more}; give rows as they stood "
                "in the request, unchanged but for spacing"
            )
    return [Supplied(request, tuple(facts)) for request, facts in found.items() if facts]


def audit_earlier(
    folder: Path,
    given: Sequence[Supplied],
    *,
    attacks: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    voice: Voice = SILENT,
) -> list[Request]:
    """Attacks the model after a run with facts of earlier requests; their requests, each with a line on it.

    Only attacks that compare answers word for word are run. There is no oracle for these facts, since that of the run
    need not be without them, so upper bounds are said, beside facts that nobody stated. Records are written without
    texts below `earlier/`, and finished ones are not made again.

    Args:
        folder: a finished run's.
        given: see `supplied`.
        attacks: see `pipeline.audit.audit.audit`.
        settings: likewise.
        seed: likewise.
        voice: likewise.

    Raises:
        RecipeError: an unknown attack, or a parameter that it does not take.
        RunError: no finished run, changed data, or an attack that fails or changes a model.
        DataError: the run's data cannot be read.
    """
    recipe = recipe_of(folder)
    with RunFolder(folder).quiet(), RunFolder(folder).held():
        asked = [one for one in chosen_attacks(attacks, settings or {}) if set(BY_WORDS) & set(one.call.leaks)]
        data = data_of(folder, recipe)
        others = examples_of(recipe, data)
        key = redactor_of(folder.parent)
        done: list[Request] = []
        for model in models_of(folder, recipe, voice=voice):
            after = model.point == "after"
            weights = weights_of(model) if after else ""
            for one in given if after else ():
                examples = {str(s): _beside(others.get(s, ()), one.facts) for s in SPLITS if s != Role.FORGET}
                examples = {str(Role.FORGET): one.facts, **{s: some for s, some in examples.items() if some}}
                place = EarlierFolder(folder, key, f"{one.request.id}-{one.request.commitment[:6]}")
                about = About.of(recipe, data, examples, attacks)
                auditor = Auditor(place, recipe, examples, about, None, seed, _named(voice, one.request.id))
                auditor.attack(model, weights, asked)
                audits = [auditor.finished(attack, {"after": weights}) for attack in asked]
                done.append(_again(folder, place, one, audits))
            del model
    return done


def _named(voice: Voice, name: str) -> Voice:
    return Voice(lambda said: voice.say(f"{name}: {said}"), voice.progress)


def _again(folder: Path, place: EarlierFolder, one: Supplied, audits: Sequence[Audit]) -> Request:
    """The request with what the audits say; without a line where no attack suits its facts."""
    bounds: list[Bound] = []
    for audit in (a for a in audits if a.points):
        records = {"after": read_records(place.path / audit.points["after"].records)}
        bounds += [b for e in evidence(audit.attack, ("leak",), records) if (b := bound(e)) is not None]
    own = Results.load(folder)
    most = max(bounds, key=lambda b: b.forgotten.at_most, default=None)
    said = "no attack suits these facts" if most is None else bound_sentence(most)
    among = f" The worst of {len(bounds)} attacks." if len(bounds) > 1 else ""
    again = Again(
        run=own.name,
        date=own.created,
        audited=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=len(one.facts),
        line=f"{said}{among}",
    )
    before = (a for a in one.request.again if (a.date, a.run) != (again.date, again.run))
    return replace(one.request, again=(*before, again))


def _beside(examples: Sequence[Example], facts: Sequence[Example]) -> tuple[Example, ...]:
    """The examples that are none of the facts, nor about their group."""
    same = {e.id for e in overlap(examples, facts)}
    clusters = {e.cluster for e in facts}
    return tuple(e for e in examples if e.id not in same and e.cluster not in clusters)


def _rows(file: Path, recipe: Recipe, voice: Voice) -> list[Example]:
    """The rows, read as the run's own forget data are where those have columns of their own."""
    own = next((s for stage in recipe.stages for s in recipe.sources(stage).get(Role.FORGET, ())), None)
    as_own = {} if own is None or own.path is None else {"columns": own.columns, "form": own.form}
    return source_examples(Source(path=str(file), **as_own), Role.FORGET, recipe, voice, Heard(voice.say))


def _holds(request: Request, example: Example, key: Redactor) -> bool:
    return commitment_to_each(example, key) in request.each


def _keys(folder: Path, requests: Sequence[Request]) -> dict[str, Redactor]:
    """The redactors by the names of their keys, of the folders that the requests' runs lie in."""
    found = (known_redactor(place.parent) for place in (folder, *earlier_runs(folder)))
    keys = {key.name: key for key in found if key is not None}
    for request in requests:
        if request.key not in keys:
            raise RunError(
                f"{folder}: the commitments of the request '{request.id}' are made with the key {request.key}, which "
                "is in no output folder of these runs; audit where its run was made"
            )
    return keys
