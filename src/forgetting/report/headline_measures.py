"""Which measures stand in front: one for forgetting, one for what is kept, one for utility, and their company."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from forgetting.core.measure import Measure
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results

_KNOWING = ("probability", "exact_match", "rouge_l_recall")
"""Names of measures that are higher the more a model knows, in order of preference for the figure: probability never
saturates at 0, so over-forgetting shows in it."""
_MATCHING = ("exact_match", "rouge_l_recall")
_EXTRACTION = re.compile(r"forget/(el_\d+|memorization_accuracy)")
"""LoKU's two; they stand in front where passages are to be forgotten."""
_COLUMNS = 8


def forgetting_key(runs: Sequence[Results]) -> str | None:
    """The measure of how much of the forget set is left."""
    return _first(runs, _labelled(runs, "forget"), _KNOWING)


def retention_key(runs: Sequence[Results]) -> str | None:
    """The measure of how much of the retain set is left."""
    return _first(runs, _labelled(runs, "retain"), _KNOWING)


def learning_key(runs: Sequence[Results]) -> str | None:
    """Where a run also trains on data of its own: how well held-out data are known."""
    return _first([run for run in runs if run.trains], ("holdout",), _KNOWING)


def utility_key(runs: Sequence[Results]) -> str | None:
    """The measure of what else the model can do: of the utility split if there is one, since model utility counts the
    retain set too."""
    return _first(runs, ("utility",), (*_MATCHING, "probability")) or model_utility_key(runs)


def model_utility_key(runs: Sequence[Results]) -> str | None:
    """Model utility: the harmonic mean of everything that should stay."""
    return _first(runs, ("all",), ("model_utility", "model_utility_mean_probability"))


def quality_key(runs: Sequence[Results]) -> str | None:
    """Forget quality: the p-value of a test against the oracle."""
    return _first(runs, ("forget",), ("forget_quality", "forget_quality_mean_probability"))


def score_key(runs: Sequence[Results]) -> str | None:
    """The one number for a run: balance, or model utility where more runs have that."""
    keys = [key for key in ("all/balance", model_utility_key(runs)) if key]
    counts = {key: sum(_has_value([replace(run, evaluations=run.afters[-1:])], key) for run in runs) for key in keys}
    return max(keys, key=lambda key: counts[key]) if any(counts.values()) else None


def other_forms_keys(runs: Sequence[Results]) -> list[str]:
    """The forget facts asked for in another form (`forget_narrative`, …): one measure per such split."""
    splits = dict.fromkeys(m.split for m in _measures(runs) if m.split.startswith("forget") and m.split != "forget")
    return [key for split in splits if (key := _first(runs, (split,), _KNOWING))]


def extraction_keys(runs: Sequence[Results]) -> list[str]:
    """How much of the forget passages can be drawn out: EL_n and MA."""
    return list(dict.fromkeys(m.key for m in _measures(runs) if _EXTRACTION.fullmatch(m.key)))


def stage_keys(runs: Sequence[Results]) -> list[str]:
    """Of stages that forget sets of their own, one measure of each set (`task1-forget/el_10`)."""
    stages = dict.fromkeys(stage.name for run in runs for stage in run.stages)
    keys = list(dict.fromkeys(m.key for m in _measures(runs)))
    names = [key.split("/")[1] for key in extraction_keys(runs)] or [
        name for name in dict.fromkeys(key.split("/")[1] for key in keys) if re.fullmatch(r"el_\d+", name)
    ]
    return [key for stage in stages if (key := _first(runs, (f"{stage}-forget",), (*names[:1], *_KNOWING)))]


def headline_keys(runs: Sequence[Results]) -> list[str]:
    """The columns of the main table, at most eight; for an unknown suite those over several splits, then its first.

    What no run could measure is no column: the page lists it with its reason at the end.
    """
    keys = [
        forgetting_key(runs),
        _first(runs, ("forget",), _MATCHING),
        *extraction_keys(runs),
        quality_key(runs),
        *stage_keys(runs),
        *other_forms_keys(runs)[:1],
        retention_key(runs),
        _first(runs, ("retain",), (*_MATCHING, "perplexity")),
        learning_key(runs),
        utility_key(runs),
        model_utility_key(runs),
    ]
    found = list(dict.fromkeys(key for key in keys if key and _has_value(runs, key)))
    every = sorted(dict.fromkeys(m.key for m in _measures(runs)), key=lambda key: not key.startswith("all/"))
    return (found or every)[:_COLUMNS]


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


def _labelled(runs: Sequence[Results], split: str) -> list[str]:
    """The split, or where suites carry the names of stages that of the last stage: `forget`, `two-forget`, …"""
    stages = dict.fromkeys(stage.name for run in runs for stage in reversed(run.stages))
    return [split, *(f"{stage}-{split}" for stage in stages)]


def _first(runs: Sequence[Results], splits: Iterable[str], names: Iterable[str]) -> str | None:
    return _valued(runs, [f"{split}/{name}" for split in splits for name in names])


def _valued(runs: Sequence[Results], keys: Sequence[str]) -> str | None:
    """The first key that has a value somewhere, else the first that is there at all."""
    found: dict[str, bool] = {}
    for measure in _measures(runs):
        found[measure.key] = found.get(measure.key, False) or measure.value is not None
    there = [key for key in keys if key in found]
    return next((key for key in there if found[key]), there[0] if there else None)


def _measures(runs: Sequence[Results]) -> list[Measure]:
    """Of the end of each run first, so that a measure of the start alone does not stand in front."""
    ends: list[Evaluation | None] = [e for run in runs for e in (run.after, run.before, run.oracle_evaluation)]
    ways = [e for run in runs for e in run.evaluations]
    return [m for evaluation in [*ends, *ways] if evaluation for m in evaluation.measures]
