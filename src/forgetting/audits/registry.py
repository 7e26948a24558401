"""Attacks by name: functions from typed parameters to an `Attack`."""

from __future__ import annotations

from collections.abc import Callable

from forgetting.audits.attack import Attack
from forgetting.core.registry import Registry

ATTACKS: Registry[Callable[..., Attack]] = Registry(
    "attacks", "attack", "a function that returns an attack", typed=True
)


def register_attack(name: str) -> Callable[[Callable[..., Attack]], Callable[..., Attack]]:
    """Registers a function that returns an attack under `name`.

    From another package: name the function in the entry-point group `forgetting.attacks` too.
    """
    return ATTACKS.register(name)
