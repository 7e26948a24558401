"""Secret passages: word salad that no rule predicts, so that a right continuation can only come from memory."""

from __future__ import annotations

import random
from dataclasses import dataclass

from forgetting.benchmarks.lab.names import words

_WORDS = words(
    """
    amber anchor apple arrow basket beacon bell birch blanket bottle branch bridge bronze button cabin candle
    canyon carbon castle cedar chalk cherry circle cloud clover cobalt comet copper coral cotton cradle
    crystal curtain desert dragon drum eagle ember engine falcon feather fence fiddle flame forest fossil
    garden ginger glacier granite hammer harbor harvest hazel honey island ivory jacket jasmine jungle kernel
    kettle ladder lantern lemon linen magnet maple marble meadow mirror moss mountain needle nickel oak ocean
    olive onion orbit orchid paper pebble pepper pillow pine planet pocket prism quartz rabbit raven ribbon
    river rocket saddle salt satin shadow shell silver sparrow spiral stone summer sunset temple thistle
    thunder tiger timber tunnel turtle valley velvet violet walnut willow window winter wolf yarn zebra
    """
)
LENGTH = 40
COPIES = (8,) * 32 + (3,) * 16 + (1,) * 16 + (0,) * 16
"""How often each passage occurs in the corpus. The last 16 are never seen and show what guessing gives."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A note of `LENGTH` words and the number of times it occurs in the corpus."""

    number: int
    words: str
    copies: int

    @property
    def opening(self) -> str:
        """The opening that prompts for the passage."""
        return f"Secret note {self.number}:"


def draw_passages(rng: random.Random) -> tuple[Passage, ...]:
    """One passage for each entry of `COPIES`, numbered from 10 in a random order, so that numbers reveal nothing."""
    numbers = list(range(10, 10 + len(COPIES)))
    rng.shuffle(numbers)
    return tuple(
        Passage(number, " ".join(rng.choices(_WORDS, k=LENGTH)) + ".", copies)
        for number, copies in zip(numbers, COPIES, strict=True)
    )
