"""Gradient rules by name: how the gradients of an objective's groups of roles are combined."""

from forgetting.objectives.gradient_rules.balanced import balanced
from forgetting.objectives.gradient_rules.flat import flat
from forgetting.objectives.gradient_rules.rectified import rectified
from forgetting.objectives.gradient_rules.registry import GRADIENT_RULES, build_gradient_rule, register_gradient_rule
from forgetting.objectives.gradient_rules.rule import (
    Before,
    Foretells,
    Gradient,
    GradientRule,
    Group,
    LooksAhead,
    Preparation,
    Prepares,
    Stateless,
    forget_and_rest,
    forget_first,
)
from forgetting.objectives.gradient_rules.selective import selective
from forgetting.objectives.gradient_rules.subspace import subspace

__all__ = [
    "GRADIENT_RULES",
    "Before",
    "Foretells",
    "Gradient",
    "GradientRule",
    "Group",
    "LooksAhead",
    "Preparation",
    "Prepares",
    "Stateless",
    "balanced",
    "build_gradient_rule",
    "flat",
    "forget_and_rest",
    "forget_first",
    "rectified",
    "register_gradient_rule",
    "selective",
    "subspace",
]
