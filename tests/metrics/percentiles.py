"""The two percentiles of a bootstrap over so many clusters, in per cent."""

from __future__ import annotations

import math

from scipy.stats import norm, t


def percentiles(clusters: int) -> list[float]:
    tail = 100 * float(norm.cdf(-t.isf(0.025, clusters - 1) / math.sqrt(1 - 1 / clusters)))
    return [tail, 100 - tail]
