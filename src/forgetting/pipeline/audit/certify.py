"""From the finished attacks of a run to its certificate: file, page and register."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forgetting.audits.certificate import MARGIN, Evidence, Gate, Verdict, evidence, judge
from forgetting.audits.certificate.gates import kept, sound
from forgetting.audits.certificate.statement import Sources, statement
from forgetting.core.digest import digest, file_digest
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.example import Role
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.record import Record, read_records
from forgetting.pipeline.audit.asked import asked_of, unfinished
from forgetting.pipeline.audit.register import register_audit, request_of
from forgetting.report import headline_measures, wording
from forgetting.report.certificate import certificate_page
from forgetting.report.template import write_out
from forgetting.runs.audits import Audit, own_name
from forgetting.runs.folder import RunFolder
from forgetting.runs.redact import Redactor, redactor_of
from forgetting.runs.register import Request
from forgetting.runs.results import Results

HEALTH = "health"
"""The attack whose measures tell broken answers."""
BROKEN = ("loops", "empty")
"""Names of its measures that are shares of broken answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A verdict and its certificate."""

    verdict: Verdict
    statement: Mapping[str, Any]
    texts: Mapping[str, str]
    """By the keyed id of a fact: its own id and its question; empty where the run holds no texts."""


def certify(
    folder: Path,
    found: Sequence[Audit],
    *,
    margin: float = MARGIN,
    again: Sequence[Request] = (),
    names: Mapping[str, str] | None = None,
) -> Certified:
    """Judges all finished attacks of a run and writes `certificate.json`, the page and the register.

    Attacks of earlier calls count as well, if they were on the same models: what once leaked is not left out by running
    others, or the same ones otherwise, and what other weights gave away says nothing of these. An attack that is asked
    for more facts than before stands for its earlier results, unless those refute. What an attack that did not finish
    on all of them would have found is missing, so nothing is shown then; nor where one that was asked for did not
    finish at all, or has no answer that could be scored.

    Args:
        folder: the run's.
        found: the attacks of the last call (`pipeline.audit.audit.audit`); they say which models these are.
        margin: how much more than the oracle counts as no more, between 0 and 1.
        again: what `pipeline.audit.earlier` found of earlier requests, for register and page.
        names: who asked, and whose model it is (`pipeline.audit.register.names_of`); those that an earlier audit was
            given stay.

    Raises:
        RecipeError: the margin is not between 0 and 1.
        RunError: a file of the run or of an attack is missing or damaged, or there is no finished attack.
    """
    run = RunFolder(folder)
    with run.quiet(), run.held():
        key = redactor_of(folder.parent)
        known, given = request_of(folder, key), names or {}
        own = replace(known, asked_by=given.get("asked_by", known.asked_by), owner=given.get("owner", known.owner))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        done = certified(folder, own, margin=margin, date=now, key=key, models=_models(found))
        text = as_text(done.statement)
        write_text(run.certificate_file, text)
        certificate = file_digest(run.certificate_file)
        requests = register_audit(folder, own, done.statement["predicate"], certificate, again)
        holds = run.hiding().redactor is None
        write_out(run.certificate_page, certificate_page(done.statement, requests, holds_texts=holds))
    return done


def _said_of(own: Request) -> dict[str, Any]:
    """A request as a certificate names it; without the names that nobody gave."""
    names = {"asked_by": own.asked_by, "owner": own.owner}
    said = {"id": own.id, "date": own.date, "facts": own.facts, "commitment": own.commitment}
    return said | {name: value for name, value in names.items() if value}


def as_text(statement: Mapping[str, Any]) -> str:
    """The certificate as it is written: equal for equal audits, but for the date."""
    return json.dumps(statement, indent=1, ensure_ascii=False, default=str) + "\n"


def certified(
    folder: Path,
    own: Request,
    *,
    margin: float,
    date: str,
    key: Redactor | None,
    models: Mapping[str, str],
    names: Sequence[str] = (),
) -> Certified:
    """The verdict of a run's attacks, computed from the files as they are now; nothing is written.

    Args:
        folder: a finished run's.
        own: what it was to forget.
        margin: see `audits.certificate.verdict.judge`.
        date: of the certificate.
        key: hashes ids and digests of data; None: the run is redacted, so they are hashed already.
        models: digests of the weights by `before`, `after` and `oracle`; without the last they are judged without one.
        names: of the attacks; empty: all that are finished.
    """
    if not 0 < margin < 1:
        raise RecipeError(f"--margin is {margin:g}; write a number between 0 and 1, such as 0.1")
    run, results = RunFolder(folder), Results.load(folder)
    texts: dict[str, str] = {}
    scored: list[tuple[Audit, list[Evidence]]] = []
    for audit in audits_of(run, models, names):
        of = audit.points
        records = {point: _records(run, of[point].records) if point in of else [] for point in models}
        keyed = {point: [keyed_record(r, key) for r in some] for point, some in records.items()}
        for point, some in records.items():
            for k, r in zip(keyed[point], some, strict=True):
                if r.redacted is None:  # in the shortest of the ways in which it was asked for
                    texts[k.id] = min(texts.get(k.id, _said(r)), _said(r), key=len)
        scored.append((audit, evidence(audit.attack, audit.leaks, keyed)))
    counting = [(audit, own) for audit, own in scored if not _is_replaced(audit, own, scored, margin)]
    audits = [audit for audit, _ in counting]
    found = [one for _, own in counting for one in own]
    finished = [audit.attack for audit in audits]
    asked = asked_of(run, finished)
    missing = [*unfinished(asked, finished), *_unscored(audits, found)]
    verdict = judge(found, gates_of(results, audits), margin=margin, missing=missing)
    sources = Sources(
        files=_model_files(run),
        models=models,
        attacks=[_attack(run, audit) for audit in audits],
        asked=asked.attacks,
        left_out=asked.left_out,
        recipe=file_digest(run.recipe_file),
        data=_data(results, key),
        request=_said_of(own),
        key=own.key,
        code={"forgetting": version("forgetting"), "sha256": _code()},
        environment=results.environment,
        date=date,
        chosen_by=asked.chosen_by,
    )
    return Certified(verdict=verdict, statement=statement(verdict, sources), texts=texts)


def _is_replaced(
    audit: Audit, own: Sequence[Evidence], every: Sequence[tuple[Audit, Sequence[Evidence]]], margin: float
) -> bool:
    """Whether the attack asked for more facts since, or the same again, so that these earlier results do not count.

    A leak that they show counts all the same.
    """
    for now, found in every:
        if now.attack == own_name(audit.attack) != audit.attack:
            fewer = _facts(own) < _facts(found) and judge(own, (), margin=margin).state != "refuted"
            return fewer or now.asked == audit.asked
    return False


def _facts(found: Sequence[Evidence]) -> int:
    return max((len(one.facts) for one in found), default=0)


def _unscored(audits: Sequence[Audit], found: Sequence[Evidence]) -> list[str]:
    """The attacks that are to compare facts and have no score of any: they say nothing, and not that nothing leaks."""
    scored = {one.attack for one in found}
    return [audit.attack for audit in audits if audit.leaks and audit.attack not in scored]


def gates_of(results: Results, audits: Sequence[Audit]) -> list[Gate]:
    """Whether the model after still knows what should stay, and answers no more brokenly than the model before."""
    found = []
    keys = [headline_measures.retention_key([results]), headline_measures.utility_key([results])]
    for key in dict.fromkeys(k for k in (*keys, *headline_measures.kept_besides_keys([results])) if k):
        before, after = (None if e is None else e.measure(key) for e in (results.before, results.after))
        shown = before or after
        found.append(kept(before, after, key if shown is None else wording.title(shown)))
    if not found:
        found.append(Gate(name="retain", state="unknown", text="Nothing that should stay was measured."))
    for audit in audits:
        if audit.attack == HEALTH:
            found += _health(audit)
    return found


def _health(audit: Audit) -> list[Gate]:
    measures = {point: {m.key: m for m in attacked.measures} for point, attacked in audit.points.items()}
    before: Mapping[str, Measure] = measures.get("before", {})
    after: Mapping[str, Measure] = measures.get("after", {})
    # What was to be forgotten, or was never known, may be refused in few words or none; only what should stay says
    # whether a model is broken. Where nothing of that was asked, unseen facts do.
    counted = [(key, m) for key, m in before.items() if m.name in BROKEN and m.split != Role.FORGET]
    shown = [(key, m) for key, m in counted if m.split == Role.RETAIN] or counted
    gates = [sound(m, after.get(key), wording.title(m)) for key, m in shown]
    return [gate for gate in gates if gate is not None]


def audits_of(run: RunFolder, models: Mapping[str, str], names: Sequence[str] = ()) -> list[Audit]:
    """The finished attacks on these models: those of these names, or all."""
    files = sorted(run.audits_folder.glob("*.json")) if run.audits_folder.is_dir() else []
    stored = [audit for file in files if (audit := Audit.load(file)) is not None]
    there = [audit for one in stored if (audit := _compared(one, models)) is not None]
    if names:
        missing = set(names) - {audit.attack for audit in there}
        if missing:
            raise RunError(f"{run.audits_folder}: attacks are missing ({', '.join(sorted(missing))}); bring them back")
        return [audit for audit in there if audit.attack in names]
    if not there:
        raise RunError(f"{run.path}: no attack on it is finished; start forget audit again")
    return there


def _models(found: Sequence[Audit]) -> dict[str, str]:
    """Digests of the weights that were attacked, by `before`, `after` and, if there was one, `oracle`."""
    return {point: attacked.model for audit in found for point, attacked in audit.points.items()}


def _compared(audit: Audit, models: Mapping[str, str]) -> Audit | None:
    """An attack on these models, or some of them; None: it was on others."""
    points = {point: attacked for point, attacked in audit.points.items() if point in models}
    same = points and all(attacked.model == models[point] for point, attacked in points.items())
    return replace(audit, points=points) if same else None


def _records(run: RunFolder, name: str) -> list[Record]:
    file = run.path / name
    if not file.resolve().is_relative_to(run.path.resolve()):
        raise RunError(f"{run.audits_folder}: records {name!r} lie outside the run folder; audit again")
    return read_records(file)


def keyed_record(record: Record, key: Redactor | None) -> Record:
    """The record with the ids that it has where it is redacted: order and numbers are then the same after a purge."""
    if record.redacted is not None:
        return record
    if key is None:
        raise RunError("records hold texts although the run is redacted; audit again")
    return replace(record, id=key.id(record.id), group=key.id(record.group))


def _said(record: Record) -> str:
    return f"{record.id}: {record.prompt}" if record.prompt else record.id


def _attack(run: RunFolder, audit: Audit) -> dict[str, Any]:
    return {
        "name": audit.attack,
        "package": audit.source,
        "parameters": dict(audit.parameters),
        "seed": audit.seed,
        "values": list(audit.leaks),
        "records": {
            point: {"file": attacked.records, "sha256": file_digest(run.path / attacked.records)}
            for point, attacked in audit.points.items()
        },
    }


def _model_files(run: RunFolder) -> dict[str, str]:
    """Every file of the run's model, by its path in the run's folder."""
    files = [p for p in sorted(run.model.rglob("*")) if p.is_file() and p.name[0] != "." and p.suffix != ".md"]
    if not files:
        raise RunError(f"{run.model}: holds no model; bring it back")
    return {p.relative_to(run.path).as_posix(): file_digest(p) for p in files}


def _data(results: Results, key: Redactor | None) -> dict[str, Any]:
    """By role; digests are hashed as a redacted run hashes them."""

    def hashed(sha256: str) -> str:
        return sha256 if results.redacted or key is None else key.hash("data", sha256)

    return {
        role: {"examples": facts.get("examples"), "sha256": hashed(str(facts.get("sha256")))}
        for role, facts in sorted(results.data.items())
    }


def _code() -> str:
    """A digest of the package's own modules."""
    root = Path(str(resources.files("forgetting")))
    return digest([(p.relative_to(root).as_posix(), file_digest(p)) for p in sorted(root.rglob("*.py"))])
