"""Groups of DUET's rows that are measured each by itself: forget sets, sound rows, faulty rows, and what is shared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from forgetting.benchmarks.duet.flags import ABOUT, SHARED, flagged, shared_with
from forgetting.core.example import Example

Groups = Mapping[str, tuple[Collection[str], str]]
"""By name, the ids of a group's examples, and a sentence on it."""
SOUND = "sound"
"""The rows without a known fault."""


def groups_of(
    members: Mapping[str, Sequence[Example]], forget: Collection[str], sets: Mapping[str, Collection[str]]
) -> Groups:
    """The groups of some splits' examples.

    `sound` has the rows without a fault of those splits that have any with one; each fault of `flags.ABOUT` has its own
    rows. What the other splits share with those of `forget` is of `flags.SHARED`.

    Args:
        members: examples by split.
        forget: which splits are of facts to be forgotten.
        sets: `Example.cluster` of the facts of each set that a forget split consists of.
    """
    found: dict[str, tuple[Collection[str], str]] = {}
    to_forget = [e for split, some in members.items() if split in forget for e in some]
    for name, facts in sets.items():
        found[name] = ({e.id for e in to_forget if e.cluster in facts}, f"Only questions of {name}.")
    sound: set[str] = set()
    flags: dict[str, set[str]] = {flag: set() for flag in ABOUT}
    everything = [e for some in members.values() for e in some]
    for some in members.values():
        of = flagged(some, everything)
        for id, bears in of.items():
            for flag in bears:
                flags[flag].add(id)
        if any(of.values()):
            sound |= {id for id, bears in of.items() if not bears}
    found[SOUND] = (sound, f"Only rows without a known fault ({', '.join(ABOUT)}).")
    found |= {flag: (ids, f"Only rows of which {ABOUT[flag]}.") for flag, ids in flags.items()}
    kept = [e for split, some in members.items() if split not in forget for e in some]
    shares = shared_with(kept, to_forget)
    return found | {name: (ids, f"Only rows of which {SHARED[name]}.") for name, ids in shares.items()}
