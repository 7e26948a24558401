"""Results of an attack that is asked again otherwise: they are kept, so that what once leaked is not left out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

from forgetting.core.folder import remove
from forgetting.runs.audits import AFTER, Audit, earlier_name, own_name
from forgetting.runs.folder import RunFolder


def keep_earlier(run: RunFolder, attack: str, asked: str) -> None:
    """Keeps what an attack found so far under a name of its own (`form@1`), before it is asked otherwise.

    What compared no facts, or did not finish on the model after the run, is not kept. Results that were kept of what is
    asked for now come back in their place. A process that is killed meanwhile leaves two equal results at worst.

    Args:
        run: the run's folder.
        attack: its name.
        asked: digest of what is asked for now and how (`Audit.asked`).
    """
    there = Audit.load(run.audit_file(attack))
    if there is None or there.asked == asked:
        return
    earlier = dict(_earlier(run, attack))
    if there.leaks and AFTER in there.points and all(_found(one) != _found(there) for one in earlier.values()):
        _copy(run, there, earlier_name(attack, max(earlier, default=0) + 1))
    for number, one in earlier.items():
        if one.asked == asked:
            _copy(run, one, attack)
            name = earlier_name(attack, number)
            remove(run.audit_file(name))
            remove(run.audit_file(name).with_suffix(""))


def _earlier(run: RunFolder, attack: str) -> Iterator[tuple[int, Audit]]:
    """What is kept of an attack, by its number."""
    for file in run.audits_folder.glob("*.json"):
        if file.stem != attack and own_name(file.stem) == attack and (audit := Audit.load(file)) is not None:
            yield int(file.stem.removeprefix(f"{attack}@")), audit


def _found(audit: Audit) -> object:
    """Equal for results of the same questions to the same models."""
    return audit.asked, {point: one.model for point, one in audit.points.items()}


def _copy(run: RunFolder, audit: Audit, name: str) -> None:
    """Writes the results under another name: records first, so that the file that names them is correct."""
    points = {}
    for point, one in audit.points.items():
        file = run.attack_records(name, point)
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.path / one.records, file)
        points[point] = replace(one, records=file.relative_to(run.path).as_posix())
    replace(audit, attack=name, points=points).save(run.audit_file(name))
