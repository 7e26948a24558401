"""The attacks that were asked for: noted before they run, so that a certificate cannot do without one unseen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from forgetting.runs.audits import Asked
from forgetting.runs.folder import RunFolder


def note_asked(run: RunFolder, names: Sequence[str], *, oracle: bool, chosen_by: int = 0) -> None:
    """Adds attacks that are asked for now to those of earlier audits; whether they suit the run is not known yet."""
    there = Asked.load(run.asked_file) or Asked()
    attacks = tuple(sorted({*there.attacks, *names}))
    left_out = tuple(name for name in there.left_out if name not in names)
    Asked(attacks=attacks, left_out=left_out, oracle=oracle, chosen_by=chosen_by).save(run.asked_file)


def note_left_out(run: RunFolder, name: str) -> None:
    """Notes that the run's data or model do not allow an attack."""
    there = Asked.load(run.asked_file) or Asked(attacks=(name,))
    replace(there, left_out=tuple(sorted({*there.left_out, name}))).save(run.asked_file)


def asked_of(run: RunFolder, finished: Collection[str]) -> Asked:
    """What was asked for, with attacks of earlier versions, which noted nothing.

    Args:
        run: the run.
        finished: the attacks that there are results of; those were not left out.
    """
    there = Asked.load(run.asked_file) or Asked()
    left_out = tuple(name for name in there.left_out if name not in finished)
    return replace(there, attacks=tuple(sorted({*there.attacks, *finished})), left_out=left_out)


def unfinished(asked: Asked, finished: Collection[str]) -> list[str]:
    """The attacks that were asked for, suit the run, and have no results."""
    return [name for name in asked.attacks if name not in finished and name not in asked.left_out]
