"""Checks a certificate: digests of the files that it names, and the verdict computed from the records again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from forgetting.audits import SETS
from forgetting.audits.certificate.reading import read_statement
from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.pipeline.audit.certify import as_text, audits_of, certified
from forgetting.pipeline.audit.register import registered
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.report.certificate import certificate_page
from forgetting.runs.audits import Asked, own_name
from forgetting.runs.folder import RunFolder
from forgetting.runs.reading import leaves
from forgetting.runs.redact import known_redactor
from forgetting.runs.register import read_register
from forgetting.runs.results import Results

_NOT_COMPUTED = ("predicate.date", "predicate.code", "predicate.environment")
"""Parts that say when and with what, and are not computed again."""


def verify(file: Path, folder: Path | None = None) -> list[str]:
    """What does not fit between a certificate and its run: a line each; none if all does.

    Files of the model and of records are digested again, the records are scored again and judged again, and every value
    is compared, and the page is made again. The records of a run that was purged since have other digests, and the same
    numbers.

    Args:
        file: the certificate.
        folder: its run's; None: the folder that it lies in.

    Raises:
        RunError: it cannot be read, or there is no run.
    """
    written = read_statement(file)
    folder = folder or file.absolute().parent
    run, results = RunFolder(folder), Results.load(folder)
    predicate = written["predicate"]
    redactor = known_redactor(folder.parent)
    if redactor is None or predicate.get("key") != redactor.name:
        if not results.redacted:
            raise RunError(
                f"{file}: its ids and digests were hashed with the key {predicate.get('key')!r}, which is not in "
                f"{folder.parent}; verify it where the run was made"
            )
        redactor = None
    names = [str(attack["name"]) for attack in predicate["attacks"]]
    own = registered(folder)
    scored = partial(
        certified,
        folder,
        own,
        margin=predicate["margin"],
        date=predicate["date"],
        key=redactor,
        models=predicate["models"],
    )
    with run.quiet():
        now = scored(names=names)
        there = {audit.attack for audit in audits_of(run, predicate["models"])}
        if any(own_name(name) != name for name in there - set(names)):  # earlier results, which need not count
            there = {str(attack["name"]) for attack in scored().statement["predicate"]["attacks"]}
    found = _cut_out(predicate, run, names, there)
    found += _mismatches(written, json.loads(as_text(now.statement)), purged=bool(results.purged))
    if own.certificate != file_digest(file):
        found.append(f"{run.register_file.name}: names another certificate (SHA-256 {own.certificate or 'none'})")
    return found or _page(run, written, now.statement)


def _page(run: RunFolder, written: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Whether the page for people says what the certificate does; one that other code wrote is not looked at."""
    page = run.certificate_page
    if not page.is_file() or written["predicate"].get("code") != now["predicate"]["code"]:
        return []
    requests = read_register(run.register_file)
    pages = [certificate_page(written, requests, holds_texts=holds) for holds in (True, False)]
    return [] if page.read_text(encoding="utf-8") in pages else [f"{page.name}: is not the page of this certificate"]


def _cut_out(predicate: Mapping[str, Any], run: RunFolder, names: Sequence[str], there: Set[str]) -> list[str]:
    """What the run's folder holds or was asked for and the certificate does not name.

    Args:
        predicate: of the certificate.
        run: the run's folder.
        names: of the attacks in the certificate.
        there: of those whose results are in the folder and count.
    """
    found = []
    for name in sorted(there - set(names)):
        found.append(f"attack {name}: has results in {run.audit_file(name)}, and no row in the certificate")
    folders = sorted(run.audits_folder.glob("*/")) if run.audits_folder.is_dir() else []
    for folder in folders:
        if any(folder.glob("*.jsonl")) and not run.audit_file(folder.name).is_file():
            found.append(f"attack {folder.name}: has records in {folder}, and its {folder.name}.json is missing")
    asked = Asked.load(run.asked_file)
    said = predicate.get("asked", {})
    if asked is None and said:
        found.append(f"{run.asked_file.name}: is missing, which says what attacks were asked for")
    wanted = dict.fromkeys(asked.attacks, run.asked_file.name) if asked else {}
    if file_digest(run.recipe_file) == predicate["recipe"].get("sha256"):
        of_recipe = [name for name in recipe_of(run.path).audit if name not in SETS]
        wanted = {**dict.fromkeys(of_recipe, run.recipe_file.name), **wanted}
    known = {*names, *there, *said.get("missing", ()), *(asked.left_out if asked else ())}
    found += [
        f"attack {name}: was asked for ({where}), and is missing" for name, where in wanted.items() if name not in known
    ]
    if asked is not None and asked.oracle and "oracle" not in predicate["models"]:
        found.append(f"models: there was an oracle ({run.asked_file.name}), and the certificate names none")
    return found


def _mismatches(written: Mapping[str, Any], now: Mapping[str, Any], *, purged: bool) -> list[str]:
    was, here = (dict(leaves(values)) for values in (written, now))
    found = []
    for key in dict.fromkeys((*was, *here)):
        if key.startswith(_NOT_COMPUTED) or (purged and ".records." in key and key.endswith(".sha256")):
            continue
        if key not in here:
            found.append(f"{key}: written {_short(was[key])}, is not there now")
        elif key not in was:
            found.append(f"{key}: not written, now {_short(here[key])}")
        elif was[key] != here[key]:
            found.append(f"{key}: written {_short(was[key])}, now {_short(here[key])}")
    return found


def _short(value: object) -> str:
    said = json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= 100 else said[:99] + "…"
