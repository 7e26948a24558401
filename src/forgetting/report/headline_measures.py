"""Which measures come first: what the runs' suites declare, one for forgetting, one for what is kept, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from forgetting.core.declaration import Headline
from forgetting.core.measure import Measure
from forgetting.runs.results import Results

_COLUMNS = 12


def forgetting_key(runs: Sequence[Results]) -> str | None:
    """The measure of how much of the forget set is left."""
    return _valued(runs, _headline(runs).forgotten)


def retention_key(runs: Sequence[Results]) -> str | None:
    """The measure of how much of the retain set is left."""
    return _valued(runs, _headline(runs).kept)


def learning_key(runs: Sequence[Results]) -> str | None:
    """Where a run also trains on data of its own: how well held-out data are known."""
    return _valued(runs, _headline(runs).learned)


def utility_key(runs: Sequence[Results]) -> str | None:
    """The measure of what else the model can do; where none is declared, of everything that should stay."""
    return _valued(runs, _headline(runs).utility) or overall_key(runs)


def overall_key(runs: Sequence[Results]) -> str | None:
    """The measure of everything that should stay, in one number."""
    return _valued(runs, _headline(runs).overall)


def quality_key(runs: Sequence[Results]) -> str | None:
    """Forget quality: the p-value of a test against the oracle."""
    return _valued(runs, _headline(runs).quality)


def score_key(runs: Sequence[Results]) -> str | None:
    """The one number for a run: balance, or model utility where more runs have that."""
    keys = [key for key in ("all/balance", overall_key(runs)) if key]
    counts = {key: sum(_has_value([replace(run, evaluations=run.afters[-1:])], key) for run in runs) for key in keys}
    return max(keys, key=lambda key: counts[key]) if any(counts.values()) else None


def other_forms_keys(runs: Sequence[Results]) -> list[str]:
    """The forget facts asked for in another form: one measure per form."""
    return [key for form in _headline(runs).forms if (key := _valued(runs, form))]


def sets_keys(runs: Sequence[Results]) -> list[str]:
    """Where stages forget sets of their own: one measure for each set."""
    return [key for column in _headline(runs).sets if (key := _valued(runs, column))]


def kept_besides_keys(runs: Sequence[Results]) -> list[str]:
    """Further measures in front, better high or better low, of what is neither to be forgotten nor unseen text."""
    aside = {split for run in runs for split in (*run.declared.forget_splits, *run.declared.unseen_splits)}
    front = _headline(runs)
    taken = {retention_key(runs), utility_key(runs), overall_key(runs), learning_key(runs)}
    taken |= {key for column in (front.kept, *front.kept_too, front.learned) for key in column}
    found = dict.fromkeys(key for column in front.others if (key := _valued(runs, column)))
    return [key for key in found if key not in taken and key.split("/")[0] not in aside and _has_side(runs, key)]


def _has_side(runs: Sequence[Results], key: str) -> bool:
    found = sample(runs, key)
    return found is not None and found.direction in ("up", "down")


def headline_keys(runs: Sequence[Results]) -> list[str]:
    """The columns of the main table: at most twelve, then the metrics that recipes ask for themselves.

    Where nothing is declared: measures over several splits, then the first others. What no run could measure is no
    column: the page lists it with its reason at the end.
    """
    keys = [_valued(runs, column) for column in _headline(runs).columns]
    found = list(dict.fromkeys(key for key in keys if key and _has_value(runs, key)))
    every = sorted(dict.fromkeys(m.key for m in _measures(runs)), key=lambda key: not key.startswith("all/"))
    asked = dict.fromkeys(key for run in runs for key in run.declared.asked if _has_value(runs, key))
    return list(dict.fromkeys([*(found or every)[:_COLUMNS], *asked]))


def sample(runs: Sequence[Results], key: str) -> Measure | None:
    """Any measure of this key, for its direction and meaning; one with a value if there is one."""
    found = [m for m in _measures(runs) if m.key == key]
    return next((m for m in found if m.value is not None), found[0] if found else None)


def _has_value(runs: Sequence[Results], key: str) -> bool:
    found = sample(runs, key)
    return found is not None and found.value is not None


def all_keys(runs: Sequence[Results]) -> list[str]:
    """Every measure's key, splits together in order of first appearance."""
    keys = list(dict.fromkeys(m.key for m in _measures(runs)))
    splits = list(dict.fromkeys(key.split("/")[0] for key in keys))
    return sorted(keys, key=lambda key: splits.index(key.split("/")[0]))


def in_front_first(runs: Sequence[Results]) -> list[str]:
    """Every measure's key, those of the main table first: for other programs."""
    return list(dict.fromkeys([*headline_keys(runs), *all_keys(runs)]))


def _headline(runs: Sequence[Results]) -> Headline:
    """What the runs declare together: alternatives and columns of each, in the order of the runs."""
    declared = [run.declared.headline for run in runs]

    def of(name: str) -> tuple:
        return tuple(dict.fromkeys(item for headline in declared for item in getattr(headline, name)))

    return Headline(**{f.name: of(f.name) for f in fields(Headline)})


def _valued(runs: Sequence[Results], keys: Sequence[str]) -> str | None:
    """The first key that has a value somewhere, else the first that is there at all."""
    found: dict[str, bool] = {}
    for measure in _measures(runs):
        found[measure.key] = found.get(measure.key, False) or measure.value is not None
    there = [key for key in keys if key in found]
    return next((key for key in there if found[key]), there[0] if there else None)


def _measures(runs: Sequence[Results]) -> list[Measure]:
    """Of the end of every run first, so that a measure of the start alone does not come first."""
    ends = [e for run in runs for e in (run.after, run.before, run.oracle_evaluation)]
    ways = [e for run in runs for e in run.evaluations]
    return [m for evaluation in [*ends, *ways] if evaluation for m in evaluation.measures]
