"""What a sample of few subjects may have missed: an exact test of a mean, against the nearest distribution that has it.

Where a tenth of subjects leak as a whole, twenty subjects hold none of them in one draw of eight, and then nothing in
the sample tells that they exist: no standard error does. So the differences get company: one subject of the extreme
value, which nobody has seen. The nearest distribution to the sample (in likelihood) over its values and that one, with
a mean at the limit, is the least favourable one, and p is the chance that as many subjects drawn from it have a mean as
small as the sample's. Where all differences are 0 or the extreme, this is the test of Clopper and Pearson (1934).

Sources: Efron (1981), Nonparametric standard errors and confidence intervals, and DiCiccio and Romano (1990),
Nonparametric confidence limits by resampling methods and least favorable families, for tilting; Owen (1988), Empirical
likelihood ratio confidence intervals for a single functional, for the likelihood.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.optimize import brentq

from forgetting.audits.certificate.pairs import Pairs
from forgetting.metrics.statistics import Floats

_CELLS = 2**16
"""Points of the grid on which the distribution of a sum is computed, for a range of 1 of each value."""
_FINEST, _COARSEST = 509, 257
"""Steps of that grid in 1; prime, so that shares of a subject's facts lie beside its points and 0 and 1 on them."""
_CLOSE = 1e-12
_SAME = 1e-6  # steps of the grid by which equal sums may differ


def below(pairs: Pairs, limit: float, *, unseen: float) -> float:
    """p of the test that the mean is at least the limit: small where it is clearly below.

    Args:
        pairs: at least one subject.
        limit: above the mean, or p is 1.
        unseen: the value of a subject that the sample may lack; above the limit, or p is 0 where the mean is below it
            and no subject is above.
    """
    scale_G = pairs.sizes_G / pairs.sizes_G.mean()
    gap_G = scale_G * (limit - pairs.sums_G / pairs.sizes_G)
    missed = -float((scale_G**2).mean()) * (unseen - limit)  # a fact's subject is larger than the mean of subjects
    if gap_G.sum() <= 0:
        return 1.0
    if missed >= 0 and gap_G.min() >= 0:
        return 0.0
    share_G = _shares(gap_G, missed)
    rest = max(0.0, 1.0 - float(share_G.sum()))
    values, shares = np.append(-gap_G, -missed), np.append(share_G, rest)
    there = shares > 0
    return _at_most(float(-gap_G.sum()), values[there], shares[there] / shares[there].sum(), len(gap_G))


def upper(pairs: Pairs, level: float, *, unseen: float) -> float:
    """The largest limit that the test does not reject at 1 - `level`: the upper bound of the mean, at most `unseen`."""
    least, most = pairs.mean, unseen - _CLOSE
    if least >= most or below(pairs, most, unseen=unseen) > 1 - level:
        return max(least, unseen)
    return float(brentq(lambda limit: below(pairs, limit, unseen=unseen) - (1 - level), least, most, xtol=1e-10))


def _shares(gap_G: Floats, missed: float) -> Floats:
    """Of each subject in the nearest distribution whose mean gap is 0: 1 / (G · (1 + λ · gap)); the rest is unseen."""

    def slope(tilt: float) -> float:
        return float((gap_G / (1 + tilt * gap_G)).sum())

    lowest = min(missed, float(gap_G.min()))
    tilt = (1 - _CLOSE) / -lowest  # beyond this a share would be below 0
    if slope(tilt) < 0:
        tilt = float(brentq(slope, 0.0, tilt, xtol=1e-14))
    return 1 / (len(gap_G) * (1 + tilt * gap_G))


def _at_most(total: float, values: Floats, shares: Floats, count: int) -> float:
    """The chance that `count` independent values sum to at most `total`: by a Fourier transform on a grid.

    A value between two points of the grid is shared by them so that its mean stays. So of draws with the very sum of
    the sample, those that hold whole subjects alone count, and about half of those that differ in single facts (the
    mid-p value; Lancaster 1961): else of few facts a subject the level would be half of 5%.
    """
    steps = min(_FINEST, max(_COARSEST, _CELLS // count))
    lowest = float(values.min())
    place = (values - lowest) * steps
    point = np.floor(place + _SAME).astype(int)
    beyond = np.clip(place - point, 0.0, 1.0)
    width = int(point.max()) + 2
    mass = np.bincount(point, shares * (1 - beyond), width) + np.bincount(point + 1, shares * beyond, width)
    size = next_fast_len(count * (width - 1) + 1, real=True)
    chances = irfft(rfft(mass, size) ** count, size)
    last = int(np.floor((total - count * lowest) * steps + 0.5))
    return min(1.0, max(0.0, round(float(chances[: last + 1].sum()), 12)))
