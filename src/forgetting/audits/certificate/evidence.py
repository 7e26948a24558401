"""What attacks got out of each model, fact by fact: what a certificate is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from forgetting.audits.leaks import UNTOUCHED, clusters, leaks, tries
from forgetting.core.record import Record
from forgetting.metrics.likelihood import probability
from forgetting.metrics.statistics import by_cluster

FORGET, UNSEEN, STAYS = "forget", "holdout", "retain"
"""The splits of the facts that were to be forgotten, of facts of the same form that no model was given, and of those to
keep."""
Values = Mapping[str, float | None]
"""By fact; None: not scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One value of one attack, of every model."""

    attack: str
    value: str
    """Its name in `audits.leaks.VALUES`."""
    models: Mapping[str, Values]
    """By `before`, `after` and `oracle`: of every fact that any of them was asked for."""
    subjects: Mapping[str, str]
    """By fact."""
    unseen: Mapping[str, Values] = field(default_factory=dict)
    """The same of unseen facts."""
    unseen_subjects: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By model, of an attack that changes it: the mean probability of what should stay before and after."""

    @property
    def facts(self) -> list[str]:
        """The facts that were to be forgotten, in the order of the values of `of`; `unseen` is not among them."""
        return list(self.subjects)

    def of(self, model: str) -> list[float | None]:
        """The model's values, in the order of `facts`."""
        return [self.models.get(model, {}).get(fact) for fact in self.facts]

    def mean(self, model: str) -> float | None:
        """Over the facts that could be scored."""
        return mean(self.of(model))

    def unseen_mean(self, model: str) -> float | None:
        """The same of unseen facts."""
        return mean(self.unseen.get(model, {}).values())


def evidence(attack: str, values: Iterable[str], records: Mapping[str, Sequence[Record]]) -> list[Evidence]:
    """What is compared of one attack; a value that no model has of any fact is left out.

    A fact counts as not scored for a model that was not asked for it, or not as often as another model was, or of
    which fewer attempts could be scored: the best of fewer attempts is not comparable.

    Args:
        attack: its name.
        values: the names of its values.
        records: by model, of all splits.
    """
    found = []
    kept = {model: means for model, some in records.items() if (means := _kept(some)) is not None}
    for value in values:
        facts = {split: _compared(value, split, records) for split in (FORGET, UNSEEN)}
        if any(v is not None for of_model in facts[FORGET].values() for v in of_model.values()):
            named = {split: _subjects(split, records) for split in facts}
            found.append(
                Evidence(
                    attack=attack,
                    value=value,
                    models=facts[FORGET],
                    subjects=named[FORGET],
                    unseen=facts[UNSEEN],
                    unseen_subjects=named[UNSEEN],
                    kept=kept,
                )
            )
    return found


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def any_leak(values: Values, subjects: Mapping[str, str]) -> tuple[int, int, int]:
    """Subjects of which a fact leaked; those of which none did but some was not scored; and all subjects."""
    names = sorted(set(subjects.values()))
    if not names:
        return 0, 0, 0
    scored = {fact: values.get(fact) for fact in subjects}
    most, _ = by_cluster([float(v is not None and v > 0) for v in scored.values()], [subjects[f] for f in scored])
    lost, _ = by_cluster([float(v is None) for v in scored.values()], [subjects[f] for f in scored])
    return int((most > 0).sum()), int(((most == 0) & (lost > 0)).sum()), len(names)


def _compared(value: str, split: str, records: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, float | None]]:
    own = {model: [r for r in found if r.split == split] for model, found in records.items()}
    tried = {model: tries(found, value) for model, found in own.items()}
    values = {model: leaks(found, value) for model, found in own.items()}
    most: dict[str, int] = {}
    for count in tried.values():
        for fact, number in count.items():
            most[fact] = max(number, most.get(fact, 0))
    return {
        model: {
            fact: values[model].get(fact) if tried[model][fact] == number else None for fact, number in most.items()
        }
        for model in own
    }


def _kept(records: Sequence[Record]) -> tuple[float, float] | None:
    """Of the facts to keep that were scored before a model was changed and after; None: there are none."""
    both = [
        (record.values[UNTOUCHED], now)
        for record in records
        if record.split == STAYS and UNTOUCHED in record.values and (now := probability.value_of(record)) is not None
    ]
    return (sum(then for then, _ in both) / len(both), sum(now for _, now in both) / len(both)) if both else None


def _subjects(split: str, records: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    return clusters([record for found in records.values() for record in found if record.split == split])
