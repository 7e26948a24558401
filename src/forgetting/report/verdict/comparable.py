"""Whether runs may be ranked by a measure: asked the same questions, to forget the same, measured by one oracle."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.report import wording
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.paired import Side, members
from forgetting.runs.results import Results

_NOT_SHOWN = "nothing shows that {0} were asked the same questions"


def forgetting(every: Sequence[Models], names: Sequence[str], key: str) -> str:
    """Why runs are not ranked by how close they come to the oracle; empty where they can be."""
    return (
        asked_alike([models.after for models in every], names, key)
        or given_alike([models.run for models in every], names)
        or _same(every, names, key, "oracle", "{0} are measured by oracles that have different values")
    )


def keeping(every: Sequence[Models], names: Sequence[str], key: str) -> str:
    """Why runs are not ranked by what they keep; empty where they can be."""
    return asked_alike([models.after for models in every], names, key) or _same(
        every, names, key, "before", "{0} start from different values"
    )


def asked_alike(sides: Sequence[Side], names: Sequence[str], key: str) -> str:
    """Why values of one name may be of different questions; empty where they are of the same.

    Kept records decide: those of the measure's split, or of all splits for a measure over several. Without them the
    runs must be measured by one suite, in equal number and, where that is the run's own data, of equal digests.
    """
    who = wording.join(list(names))
    kept = [members(key, side) or [r for found in side.records.values() for r in found] for side in sides]
    if all(kept) and not any(record.redacted is not None for found in kept for record in found):
        asked = {frozenset((r.split, r.id, r.prompt, r.answer, r.has_text) for r in found) for found in kept}
        return "" if len(asked) == 1 else f"{who} were measured on other examples"
    values = [side.value(key) for side in sides]
    if len({m.count for m in values if m}) > 1:
        return f"{who} were measured on other numbers of examples"
    if len({side.run.suite for side in sides}) > 1:
        return _NOT_SHOWN.format(who)
    measured = {tuple(digests(side.run, role) for role in ("forget", "retain", "holdout", "train")) for side in sides}
    own = any(side.run.suite.startswith("own") for side in sides)
    return _NOT_SHOWN.format(who) if own and len(measured) > 1 else ""


def digests(run: Results, role: str) -> tuple[str, ...]:
    """The digests of a role's data, of all stages."""
    return tuple(sorted(str(facts.get("sha256")) for name, facts in run.data.items() if name.split(" ")[0] == role))


def differing(runs: Sequence[Results], role: str) -> bool:
    """Whether the runs are shown to have other data of a role.

    Digests of a redacted run are hashed with a key of its output folder, so that they differ where the data are equal.
    """
    return len({digests(run, role) for run in runs}) > 1 and not any(run.redacted for run in runs)


def given_alike(runs: Sequence[Results], names: Sequence[str]) -> str:
    """Why runs may not have been to forget the same; empty where they were."""
    who = wording.join(list(names))
    if differing(runs, "forget"):
        return f"{who} were to forget other examples"
    alike = len({digests(run, "forget") for run in runs}) == 1
    return "" if alike else f"nothing shows that {who} were to forget the same examples"


def _same(every: Sequence[Models], names: Sequence[str], key: str, of: str, words: str) -> str:
    """Whether the models at one point have one value of the measure."""
    found = [getattr(models, of).value(key) for models in every]
    values = {(round(m.value, 9), m.count) for m in found if m is not None}
    return words.format(wording.join(list(names))) if len(values) > 1 else ""
