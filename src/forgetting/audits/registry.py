"""Attacks by name: functions from typed parameters to an `Attack`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from forgetting.audits.attack import Attack, Run
from forgetting.core.errors import RecipeError, nearest
from forgetting.core.registry import Registry

Build: TypeAlias = Callable[..., Attack | Run]

ATTACKS: Registry[Build] = Registry("attacks", "attack", "a function that returns an attack", typed=True)


def register_attack(name: str, *, by_name: bool = False) -> Callable[[Build], Build]:
    """Registers a function that returns an attack under `name`.

    From another package: name the function in the entry-point group `forgetting.attacks` too.

    Args:
        name: in recipes and commands.
        by_name: whether it is only run if it is named itself, and not with the set `all`.
    """
    return ATTACKS.register(name, by_name=by_name)


FAST = ("greedy", "form", "prompt", "context")
"""The attacks of the set `fast`: greedy answers alone."""
STANDARD = (*FAST, "sample", "quantise", "relearn-kin", "relearn-benign", "membership", "layers", "near", "health")
"""Those of `standard`, as far as they are there."""
SETS = ("fast", "standard", "all")


def attacks_of(names: Sequence[str]) -> list[str]:
    """The attacks that names of attacks and of sets stand for, each once.

    Raises:
        RecipeError: no attack and no set has the name.
    """
    found: list[str] = []
    for name in names:
        if name == "all":
            found += [entry.name for entry in ATTACKS.entries() if not entry.settings.get("by_name")]
        elif name in ("fast", "standard"):
            found += [one for one in (FAST if name == "fast" else STANDARD) if one in ATTACKS]
        elif name in ATTACKS or ATTACKS.broken():
            found.append(ATTACKS.get(name).name)
        else:
            raise RecipeError(f"unknown attack '{name}'; {nearest(name, [*SETS, *ATTACKS.names()])}")
    return list(dict.fromkeys(found))
