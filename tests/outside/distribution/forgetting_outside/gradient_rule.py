"""A gradient rule with a state: turns between the forget terms and the others."""

from collections.abc import Mapping, Sequence
from typing import Any

from forgetting import register_gradient_rule
from forgetting.objectives.gradient_rules import Gradient, Group, forget_and_rest


class Turns:
    def __init__(self, every: int) -> None:
        self.every, self.step = every, 0

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        return forget_and_rest("turns", groups)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        self.step += 1
        return gradients[0] if self.step % self.every == 0 else gradients[1]

    def state_dict(self) -> Mapping[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = int(state.get("step", 0))


@register_gradient_rule("turns")
def turns(every: int = 2) -> Turns:
    """Every so-many-th step takes the forget gradient alone, the others the rest."""
    return Turns(every)
