"""Attacks by name: functions from typed parameters to an `Attack`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from forgetting.audits.attack import Attack, Run
from forgetting.core.registry import Registry

A = TypeVar("A", bound=Callable[..., Attack | Run])

ATTACKS: Registry[Callable[..., Attack | Run]] = Registry(
    "attacks", "attack", "a function that returns an attack", typed=True
)


def register_attack(name: str) -> Callable[[A], A]:
    """Registers a function that returns an attack under `name`.

    From another package: name the function in the entry-point group `forgetting.attacks` too.
    """
    return ATTACKS.register(name)
