"""Gradient ascent on the probability of the answer, which is bounded where its logarithm is not."""

from forgetting import Objective, Term, register_method
from forgetting.objectives.losses import Loss, nll
from forgetting.objectives.statistics import LOGP

likely = Loss("likely", lambda signals: signals.logp.exp(), needs=(LOGP,))


@register_method("bounded_ascent", adapter={"kind": "lora", "rank": 2})
def bounded_ascent(strength: float = 1.0) -> Objective:
    """Lowers p(y) on the forget set and keeps -log p(y) low on the retain set."""
    return Objective(Term("forget", likely, weight=strength), Term("retain", nll))
