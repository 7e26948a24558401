"""Paired differences of facts, by subject: their mean, how far it may be off, and of how many facts they are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgetting.metrics.statistics import FEWEST, Floats, by_cluster

ALIKE = 0.2
"""The correlation of two facts of one subject that is assumed at least where too few subjects differ to estimate it."""
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Pairs:
    """Differences of N facts of G subjects, each between -1 and 1."""

    values_N: Floats
    sums_G: Floats
    sizes_G: Floats

    @classmethod
    def of(cls, values: Sequence[float], subjects: Sequence[str]) -> Pairs:
        """One difference a fact; at least one."""
        return cls(np.array(values, dtype=np.float64), *by_cluster(values, subjects))

    @property
    def facts(self) -> int:
        return len(self.values_N)

    @property
    def subjects(self) -> int:
        return len(self.sums_G)

    @property
    def mean(self) -> float:
        return float(self.values_N.mean())

    @property
    def risen(self) -> float:
        """The sum of what is above 0."""
        return float(self.values_N.clip(min=0).sum())

    @property
    def fallen(self) -> float:
        """The sum of what is below 0, without its sign."""
        return float(-self.values_N.clip(max=0).sum())

    @property
    def few(self) -> bool:
        """Whether too few subjects differ to know how much subjects do."""
        return int((np.abs(self.sums_G) > _ROUNDING).sum()) < FEWEST

    @property
    def equal(self) -> bool:
        """Whether all facts differ by one amount."""
        return bool(np.ptp(self.values_N) < _ROUNDING)

    @property
    def equal_subjects(self) -> float:
        """As many subjects of equal size say as much as these: N² / Σ size²."""
        return self.facts**2 / float((self.sizes_G**2).sum())

    @property
    def standard_error(self) -> float:
        """Of the mean: √(G / (G - 1) · Σ (sum - size · mean)²) / N over the subjects (Liang and Zeger 1986)."""
        rest_G = self.sums_G - self.sizes_G * self.mean
        return math.sqrt(self.subjects / (self.subjects - 1) * float((rest_G**2).sum())) / self.facts

    @property
    def effective(self) -> float:
        """As many independent facts say as much: N / (1 + (facts of a subject - 1) · correlation)."""
        per_subject = self.facts / self.equal_subjects
        return self.facts / (1 + (per_subject - 1) * min(1.0, max(ALIKE, self._correlation)))

    @property
    def _correlation(self) -> float:
        """Of two facts of a subject, from the mean squares between and within subjects; 0 where nothing differs."""
        groups, facts = self.subjects, self.facts
        if facts == groups or self.equal:
            return 0.0
        means_G = self.sums_G / self.sizes_G
        between = float((self.sizes_G * (means_G - self.mean) ** 2).sum()) / (groups - 1)
        inside = float((self.values_N**2).sum() - (self.sizes_G * means_G**2).sum()) / (facts - groups)
        size = (facts - float((self.sizes_G**2).sum()) / facts) / (groups - 1)
        return (between - inside) / (between + (size - 1) * inside)
