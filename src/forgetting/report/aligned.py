"""Runs whose suites bear different labels, under common names: a label before a suite changes nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgetting.report import wording
from forgetting.runs.results import Results, labels


def aligned(runs: Sequence[Results]) -> list[Results]:
    """The runs with names of splits that they share: without a label where other runs have none, or another one.

    Only where that is unambiguous: in its run no other split bears the name, under any label.
    """
    return [run.with_names(names) if names else run for run, names in zip(runs, _names(runs), strict=True)]


def renamed(runs: Sequence[Results]) -> list[str]:
    """A sentence for each run whose splits `aligned` calls by other names."""
    said = []
    for name, names in zip(labels(runs), _names(runs), strict=True):
        if names:
            listed = wording.join([f"{own} as {plain}" for own, plain in names.items()])
            said.append(f"Splits of {name} are compared without their label: {listed}.")
    return said


def _names(runs: Sequence[Results]) -> list[dict[str, str]]:
    """By run, the new name of each split that has one."""
    plain = [_without_labels(run) for run in runs]
    bearers: dict[str, set[frozenset[str]]] = {}
    for run, names in zip(runs, plain, strict=True):
        own: dict[str, set[str]] = {}
        for split in {m.split for m in run.measures}:
            own.setdefault(names.get(split, split), set()).add(split)
        for name, splits in own.items():
            bearers.setdefault(name, set()).add(frozenset(splits))
    return [{split: name for split, name in names.items() if len(bearers[name]) > 1} for names in plain]


def _without_labels(run: Results) -> dict[str, str]:
    """The labelled splits of a run with their names without the label, where nothing else of the run bears them."""
    evaluate = run.recipe.get("evaluate")
    starts = [f"{label}-" for label in evaluate] if isinstance(evaluate, Mapping) else []
    measured: dict[str, set[str]] = {}
    for measure in run.measures:
        measured.setdefault(measure.split, set()).add(measure.name)
    found: dict[str, str] = {}
    for split in measured:
        start = max((s for s in starts if split.startswith(s)), key=len, default="")
        if start:
            found[split] = split.removeprefix(start)
    plain = list(found.values())
    return {
        split: name
        for split, name in found.items()
        if plain.count(name) == 1 and not measured[split] & measured.get(name, set())
    }
