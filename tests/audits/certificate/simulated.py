"""Audits of models whose true leak is known: how often equivalence is shown, and how often a leak above the margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetting.audits.certificate.claims import more, no_more
from forgetting.audits.certificate.pairs import Pairs

MARGIN = 0.1
GUESSED = 0.03
"""The share of facts that either model gets right by a guess."""


@dataclass(frozen=True)
class World:
    """Facts of subjects, and how the unlearned model leaks them beyond guesses."""

    subjects: int
    facts: int
    """Of each subject."""
    correlation: float = 0.0
    """Of the leaks of two facts of a subject; 1: a subject leaks as a whole."""


def differences(world: World, true: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Differences of outcomes, `[subjects, facts]`, with a mean of `true`; below 0 it is the oracle that leaks."""
    size = (world.subjects, world.facts)
    share = abs(true) / (1 - GUESSED)
    if world.correlation == 0 or share == 0:
        of_subject = np.full(world.subjects, share)
    elif world.correlation == 1:
        of_subject = (rng.random(world.subjects) < share).astype(float)
    else:
        spread = 1 / world.correlation - 1
        of_subject = rng.beta(share * spread, (1 - share) * spread, world.subjects)
    after = (rng.random(size) < GUESSED) | (rng.random(size) < of_subject[:, None])
    more = after.astype(float) - (rng.random(size) < GUESSED)
    return more if true >= 0 else -more


def shares(world: World, true: float, replicates: int, *, seed: int = 1) -> tuple[float, float]:
    """How often a true difference is shown to lie within the margin, and how often it is shown to lie above."""
    rng = np.random.default_rng(seed)
    names = [str(subject) for subject in range(world.subjects) for _ in range(world.facts)]
    shown = above = 0
    for _ in range(replicates):
        values = differences(world, true, rng).ravel()
        pairs = Pairs.of(list(values), names)
        shown += no_more(pairs, MARGIN) <= 0.05 and no_more(pairs.mirrored(), MARGIN) <= 0.05
        above += more(pairs, MARGIN) <= 0.05
    return shown / replicates, above / replicates


def no_difference(
    facts: int, margin: float, replicates: int, *, of_subject: int = 1, correlation: float = 0.0, seed: int = 2
) -> tuple[float, float]:
    """Of models that do not differ, a tenth of whose facts are told by one alone: how often no more, and as much, is
    shown.

    Args:
        facts: in all.
        margin: how much more counts as no more.
        replicates: of the audit.
        of_subject: facts of one subject.
        correlation: the share of subjects all of whose facts go one way; the rest of facts are independent.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    subjects = -(-facts // of_subject)
    names = [str(n // of_subject) for n in range(facts)]
    one_sided = both_sides = 0
    for _ in range(replicates):
        single = rng.choice([1.0, -1.0, 0.0], size=(subjects, of_subject), p=[0.05, 0.05, 0.9])
        whole = rng.choice([1.0, -1.0, 0.0], size=(subjects, 1), p=[0.05, 0.05, 0.9])
        values = np.where(rng.random((subjects, 1)) < correlation, whole, single).ravel()[:facts]
        pairs = Pairs.of(list(values), names)
        of_more = no_more(pairs, margin) <= 0.05
        one_sided += of_more
        both_sides += of_more and no_more(pairs.mirrored(), margin) <= 0.05
    return one_sided / replicates, both_sides / replicates


if __name__ == "__main__":
    print(
        "| subjects × facts | correlation | Δ 0: shown | Δ 0.1: shown (level) | Δ 0.1: above (level) | Δ 0.3: above |"
    )
    print("|---|---|---|---|---|---|")
    for subjects, facts in ((13, 6), (20, 20), (30, 3), (78, 1), (78, 5), (200, 2)):
        for correlation in (0.0, 0.2, 0.5, 1.0) if facts > 1 else (0.0,):
            world = World(subjects, facts, correlation)
            found = [shares(world, true, 2000) for true in (0.0, MARGIN, 0.3)]
            cells = [found[0][0], found[1][0], found[1][1], found[2][1]]
            print(f"| {subjects} × {facts} | {correlation} |" + "".join(f" {cell:.3f} |" for cell in cells), flush=True)
    print()
    print("| facts | of a subject | correlation | margin | Δ 0: no more shown | Δ 0: as much shown |")
    print("|---|---|---|---|---|---|")
    for facts, margin in ((62, 0.1), (78, 0.1), (86, 0.1), (247, 0.05), (343, 0.05)):
        for of_subject, correlation in ((1, 0.0), (6, 0.0), (6, 0.2), (6, 0.5)):
            cells = no_difference(facts, margin, 2000, of_subject=of_subject, correlation=correlation)
            row = f"| {facts} | {of_subject} | {correlation} | {margin} | {cells[0]:.3f} | {cells[1]:.3f} |"
            print(row, flush=True)
