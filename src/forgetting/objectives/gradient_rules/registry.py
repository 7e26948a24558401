"""Gradient rules by name: functions from typed parameters to a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from forgetting.core.registry import Registry
from forgetting.objectives.gradient_rules.rule import GradientRule, Sum

GRADIENT_RULES: Registry[Callable[..., GradientRule]] = Registry(
    "gradient_rules", "gradient rule", "a function that returns a GradientRule"
)


def register_gradient_rule(
    name: str, *, paper: str = "", when: str = ""
) -> Callable[[Callable[..., GradientRule]], Callable[..., GradientRule]]:
    """Registers a function that returns a new GradientRule under `name`.

    From another package: name the function in the entry-point group `forgetting.gradient_rules` too.

    Args:
        paper: where it was published, `arXiv 2503.09117`; empty: nowhere.
        when: one sentence on when to use it.
    """
    return GRADIENT_RULES.register(name, paper=paper, when=when)


def build_gradient_rule(name: str, parameters: Mapping[str, object] | None = None) -> GradientRule:
    """A new rule of this name with these parameters.

    Raises:
        RecipeError: unknown rule, a parameter that it does not take, or the result is not a `GradientRule`.
    """
    rule = GRADIENT_RULES.build(name, parameters)
    if not all(callable(getattr(rule, part, None)) for part in ("parts", "combine", "state_dict", "load_state_dict")):
        raise GRADIENT_RULES.misfit(name, rule, "a GradientRule")
    return rule


@register_gradient_rule("sum", when="The default: nothing else is asked for.")
def summed() -> GradientRule:
    """The plain sum of all terms' gradients: one backward pass."""
    return Sum()
