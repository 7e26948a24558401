"""The two claims about a mean difference, that it is below a limit and that it is above one: their p and their bounds.

Each rests on two tests, and on the one that says less: Student's t on subjects, which holds where many differ, and the
tilted test, which holds where few do or none.
"""

from __future__ import annotations

from scipy.stats import t as student

from forgetting.audits.certificate import tilted
from forgetting.audits.certificate.pairs import Pairs
from forgetting.metrics.proportions import LEVEL

_ROUNDED = 9  # digits: the last bits of a Fourier transform differ between machines, a certificate should not


def no_more(pairs: Pairs, limit: float) -> float:
    """p of the claim that the mean is below the limit, between 0 and 1; a subject that leaks as a whole may be missing.

    Args:
        pairs: of at least two subjects.
        limit: below 1.
    """
    return max(t_below(pairs, limit), tilted.below(pairs, limit, unseen=1.0))


def more(pairs: Pairs, limit: float) -> float:
    """p of the claim that the mean is above the limit; a subject that leaks no more than the oracle may be missing.

    Where some were seen that leak less than the oracle, one that does so as much as the worst of them.
    """
    if limit >= 1:
        return 1.0
    return max(t_below(pairs.mirrored(), -limit), tilted.below(pairs.mirrored(), -limit, unseen=_less(pairs)))


def interval(pairs: Pairs) -> tuple[float, float]:
    """The 90% interval of the mean: an end above (below) which the mean is claimed to lie is a 95% bound of that claim.

    So an end beyond 0, seen from the mean, counts on subjects that leak as a whole and were not drawn; an end on this
    side of 0 does not. Both lie between -1 and 1, as every difference does.
    """
    return -_high(pairs.mirrored()), _high(pairs)


def _high(pairs: Pairs) -> float:
    t = t_upper(pairs)
    end = max(t, tilted.upper(pairs, LEVEL, unseen=_less(pairs.mirrored())))
    if end >= 0:
        end = max(t, tilted.upper(pairs, LEVEL, unseen=1.0))
    return round(min(1.0, max(-1.0, end)), _ROUNDED)


def t_below(pairs: Pairs, limit: float) -> float:
    """p of Student's test that the mean is at least the limit, with as many degrees of freedom as subjects, less one.

    Of subjects of equal size; fewer where their sizes differ (`Pairs.equal_subjects`).
    """
    error, far = pairs.standard_error, limit - pairs.mean
    if error == 0:
        return float(far <= 0)
    return float(student.sf(far / error, _free(pairs)))


def t_upper(pairs: Pairs) -> float:
    """The upper 95% bound of that test."""
    return pairs.mean + float(student.ppf(LEVEL, _free(pairs))) * pairs.standard_error


def _less(pairs: Pairs) -> float:
    """How much less than the oracle the subject leaks that does so most; 0 where none does."""
    return max(0.0, -float((pairs.sums_G / pairs.sizes_G).min()))


def _free(pairs: Pairs) -> float:
    return max(pairs.equal_subjects - 1, 1e-3)
