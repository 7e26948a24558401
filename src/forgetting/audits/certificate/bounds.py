"""What can be said without an oracle: how many subjects may leak at most under an attack."""

from __future__ import annotations

from dataclasses import dataclass

from forgetting.audits.certificate.evidence import Evidence, any_leak
from forgetting.audits.leaks import BY_WORDS
from forgetting.metrics.proportions import at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Subjects of which any fact leaked."""

    leaking: int
    missing: int
    """Of which none did, and not all were scored; the bound counts them as leaking."""
    subjects: int
    at_most: float
    """The upper 95% bound (one-sided) of the share among subjects drawn like these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One attack on the model after."""

    attack: str
    forgotten: Share
    unseen: Share | None = None
    """Of facts of the same form that no model was given, under the same attack; None: there are none."""


def bound(evidence: Evidence) -> Bound | None:
    """The bounds of one attack, by exact match; None for another value, or without a model after.

    A subject is the unit: of dependent facts, n are not n trials. Source: Clopper and Pearson (1934).
    """
    if evidence.value not in BY_WORDS or "after" not in evidence.models:
        return None
    seen = _share(*any_leak(evidence.models["after"], evidence.subjects))
    unseen = _share(*any_leak(evidence.unseen.get("after", {}), evidence.unseen_subjects))
    return None if seen is None else Bound(attack=evidence.attack, forgotten=seen, unseen=unseen)


def _share(leaking: int, missing: int, subjects: int) -> Share | None:
    if not subjects:
        return None
    most = at_most(leaking + missing, subjects)
    return Share(leaking=leaking, missing=missing, subjects=subjects, at_most=most)
