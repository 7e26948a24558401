"""BC-Mixed of Forget-to-Focus (section 3.3): so many general examples, so many of the domain, such as 800 and 200."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.examples import overlap
from forgetting.forget_sets.builders.texts import own_names, without_repeats


@dataclass(frozen=True, slots=True)
class Mixed:
    """A mixture in a drawn order."""

    examples: tuple[Example, ...]
    from_domain: tuple[bool, ...]
    """Of each example, whether it is of the domain."""
    rest: tuple[Example, ...]
    """The general examples that were not drawn, those of the domain among them not counted."""
    of_domain: int
    """General examples that were left out because they repeat one of the domain."""


def mixed(
    general: Sequence[Example], domain: Sequence[Example], *, count: int, domain_count: int, seed: int = 0
) -> Mixed:
    """Draws `count` general and `domain_count` domain examples without repeats, and shuffles them together.

    A general example that repeats one of the domain is not drawn. With one seed a smaller draw of a side is part
    of a larger one.

    Raises:
        DataError: a count below 1, or more than there are.
    """
    there = {e.id for e in overlap(general, domain)}
    pools = {
        "general": without_repeats(e for e in general if e.id not in there),
        "domain": without_repeats(domain),
    }
    orders = {}
    for name, wanted in (("general", count), ("domain", domain_count)):
        has = len(pools[name])
        if not 1 <= wanted <= has:
            less = "lower it or give more data" if wanted > has else "give at least 1"
            raise DataError(f"{name}: has {has} examples that differ, and {wanted} are asked of it; {less}")
        orders[name] = [pools[name][i] for i in _random(seed, name).permutation(has)]
    drawn = own_names(orders["general"][:count] + orders["domain"][:domain_count])
    order = _random(seed, "order").permutation(len(drawn)).tolist()
    return Mixed(
        examples=tuple(drawn[i] for i in order),
        from_domain=tuple(i >= count for i in order),
        rest=tuple(orders["general"][count:]),
        of_domain=len(there),
    )


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
