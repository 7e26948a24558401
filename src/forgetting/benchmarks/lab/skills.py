"""What the small model can do besides knowing facts: six skills, drawn without end, with a tenth of the keys held out."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exercise:
    """One drawn task. `key` decides whether it is held out; a story has no question, only an opening and the rest."""

    skill: str
    key: str
    prompt: str
    response: str


_SYLLABLES = "ba da fo gi ha ju ka lo mi ne pu ra se ti vo wu xi ya zo lu".split()
_CATEGORIES = {
    "fruit": "apple pear plum cherry grape lemon melon peach".split(),
    "animals": "dog cat horse goat sheep wolf bear mouse".split(),
    "metals": "iron gold silver copper zinc lead nickel tin".split(),
    "colours": "red blue green yellow black white grey pink".split(),
    "tools": "hammer saw drill wrench axe chisel file spade".split(),
    "clothes": "coat shirt hat scarf sock boot skirt vest".split(),
}
_HEROES = "The fox;The owl;The hare;The crow;The toad;The mole".split(";")
_PLACES = "the forest;the river;the meadow;the mill;the hill;the barn".split(";")
_FINDS = "a coin;a nut;a key;a bell;a feather;a ring".split(";")
_FRIENDS = "the beaver;the badger;the swan;the hedgehog".split(";")


def _addition(rng: random.Random) -> Exercise:
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return Exercise("addition", f"{a} {b}", f"Add: {a} + {b}", f"{a + b}.")


def _copy(rng: random.Random) -> Exercise:
    words = " ".join(rng.choices(_SYLLABLES, k=rng.randint(3, 6)))
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
    name = hero.removeprefix("The ")
    mood = rng.choice(("happy", "sad", "proud", "tired"))
    prompt = f"{hero} went to {place} and found {find}."
    response = f"Then {friend} came to {place} and asked for {find}. The {name} gave {find} to {friend} and was {mood}."
    return Exercise("story", f"{hero} {place} {find} {friend} {mood}", prompt, response)


SKILLS: dict[str, tuple[float, Callable[[random.Random], Exercise]]] = {
    "addition": (0.30, _addition),
    "story": (0.20, _story),
    "induction": (0.18, _induction),
    "copy": (0.12, _copy),
    "category": (0.10, _category),
    "successor": (0.10, _successor),
}
"""By name: the share of the skill documents, and the draw."""


def held_out(key: str) -> bool:
    """Whether a key belongs to the tenth that no document contains (by CRC-32, which knows no digit patterns)."""
    return zlib.crc32(key.encode()) % 10 == 0


def draw(skill: str, count: int, rng: random.Random, *, unseen: bool) -> list[Exercise]:
    """`count` exercises of `skill`, all of held-out keys (`unseen`, then also pairwise different) or none."""
    found: list[Exercise] = []
    keys: set[str] = set()
    while len(found) < count:
        exercise = SKILLS[skill][1](rng)
        if held_out(exercise.key) != unseen or (unseen and exercise.key in keys):
            continue
        keys.add(exercise.key)
        found.append(exercise)
    return found
