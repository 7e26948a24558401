"""Paired differences of facts, by subject: their mean and how far it may be off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgetting.metrics.statistics import Floats, by_cluster


@dataclass(frozen=True, slots=True)
class Pairs:
    """Differences of facts of G subjects, each between -1 and 1."""

    sums_G: Floats
    sizes_G: Floats

    @classmethod
    def of(cls, values: Sequence[float], subjects: Sequence[str]) -> Pairs:
        """One difference a fact; at least one.

        Subjects are in the order of their facts' sums, not of their names: the names of a redacted run are others.
        """
        sums_G, sizes_G = by_cluster(values, subjects)
        order_G = np.lexsort((sizes_G, sums_G))
        return cls(sums_G[order_G], sizes_G[order_G])

    def mirrored(self) -> Pairs:
        """The other model less the first."""
        return Pairs(-self.sums_G, self.sizes_G)

    @property
    def facts(self) -> int:
        """N of the formulas below."""
        return int(self.sizes_G.sum())

    @property
    def subjects(self) -> int:
        """G of the formulas below."""
        return len(self.sums_G)

    @property
    def mean(self) -> float:
        """Of all facts: a subject weighs as much as it has facts."""
        return float(self.sums_G.sum() / self.sizes_G.sum())

    @property
    def equal_subjects(self) -> float:
        """As many subjects of equal size say as much as these: N² / Σ size²."""
        return self.facts**2 / float((self.sizes_G**2).sum())

    @property
    def standard_error(self) -> float:
        """Of the mean: √(G / (G - 1) · Σ (sum - size · mean)²) / N over the subjects (Liang and Zeger 1986)."""
        rest_G = self.sums_G - self.sizes_G * self.mean
        return math.sqrt(self.subjects / (self.subjects - 1) * float((rest_G**2).sum())) / self.facts
