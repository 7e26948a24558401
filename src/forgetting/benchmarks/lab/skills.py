"""The small model's abilities besides facts: six skills, sampled without limit; a tenth of the keys is held out."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from forgetting.benchmarks.lab.names import words


@dataclass(frozen=True, slots=True)
class Exercise:
    """One sampled task. `key` decides whether it is held out; a story has no question, only an opening and a rest."""

    skill: str
    key: str
    prompt: str
    response: str


_SYLLABLES = words("ba da fo gi ha ju ka lo mi ne pu ra se ti vo wu xi ya zo lu")
_CATEGORIES = {
    "fruit": words("apple pear plum cherry grape lemon melon peach"),
    "animals": words("dog cat horse goat sheep wolf bear mouse"),
    "metals": words("iron gold silver copper zinc lead nickel tin"),
    "colours": words("red blue green yellow black white grey pink"),
    "tools": words("hammer saw drill wrench axe chisel file spade"),
    "clothes": words("coat shirt hat scarf sock boot skirt vest"),
}
_HEROES = words("fox owl hare crow toad mole")
_PLACES = words("forest river meadow mill hill barn")
_FINDS = words("coin nut key bell feather ring")
_FRIENDS = words("beaver badger swan hedgehog")


def _addition(rng: random.Random) -> Exercise:
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return Exercise("addition", f"{a} {b}", f"Add: {a} + {b}", f"{a + b}.")


def _copy(rng: random.Random) -> Exercise:
    words = " ".join(rng.choices(_SYLLABLES, k=rng.randint(3, 5)))
    return Exercise("copy", words, f"Copy: {words}", f"{words}.")


def _successor(rng: random.Random) -> Exercise:
    number = rng.randint(100, 998)
    return Exercise("successor", str(number), f"Next: {number}", f"{number + 1}.")


def _category(rng: random.Random) -> Exercise:
    name = rng.choice(sorted(_CATEGORIES))
    items = ", ".join(rng.sample(_CATEGORIES[name], 3))
    return Exercise("category", items, f"Kind: {items}", f"{name}.")


def _induction(rng: random.Random) -> Exercise:
    words = rng.sample(_SYLLABLES, 6)
    pairs = list(zip(words[:3], words[3:], strict=True))
    asked, answer = rng.choice(pairs)
    listed = ", ".join(f"{a} {b}" for a, b in pairs)
    return Exercise("induction", f"{listed}; {asked}", f"Pairs: {listed}; {asked}", f"{answer}.")


def _story(rng: random.Random) -> Exercise:
    hero, place, find, friend = (rng.choice(x) for x in (_HEROES, _PLACES, _FINDS, _FRIENDS))
    mood = rng.choice(("happy", "sad", "proud", "tired"))
    prompt = f"The {hero} went to the {place} and found a {find}."
    response = (
        f"Then the {friend} came to the {place} and asked for a {find}. "
        f"The {hero} gave a {find} to the {friend} and was {mood}."
    )
    return Exercise("story", f"The {hero} the {place} a {find} the {friend} {mood}", prompt, response)


SKILLS: dict[str, tuple[float, Callable[[random.Random], Exercise]]] = {
    "addition": (0.30, _addition),
    "story": (0.20, _story),
    "induction": (0.14, _induction),
    "copy": (0.16, _copy),
    "category": (0.10, _category),
    "successor": (0.10, _successor),
}
"""Per skill: its share of the skill documents, and the function that samples a task."""


def held_out(key: str) -> bool:
    """Whether a key belongs to the tenth that no document contains (by CRC-32, which ignores digit patterns)."""
    return zlib.crc32(key.encode()) % 10 == 0


def draw(skill: str, count: int, rng: random.Random, *, unseen: bool) -> list[Exercise]:
    """`count` exercises of `skill`, all with held-out keys (`unseen`; then also pairwise different) or none."""
    found: list[Exercise] = []
    keys: set[str] = set()
    while len(found) < count:
        exercise = SKILLS[skill][1](rng)
        if held_out(exercise.key) != unseen or (unseen and exercise.key in keys):
            continue
        keys.add(exercise.key)
        found.append(exercise)
    return found
