"""A loss over hidden states: those of the forget set shrink, those of the retain set stay."""

from forgetting import Objective, Term, register_method
from forgetting.objectives.hidden_losses import kept_states
from forgetting.objectives.losses import Loss


@register_method("shrink")
def shrink(layer: int = 0, strength: float = 1.0) -> Objective:
    """Mean square of the forget set's hidden states, + the retain set's distance from the reference's."""
    short = Loss("short", lambda signals: signals.hidden[layer].square().mean(-1), needs=(), layers=(layer,))
    return Objective(Term("forget", short, weight=strength), Term("retain", kept_states(layer)))
