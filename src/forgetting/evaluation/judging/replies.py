"""What a judge wrote → scores, or the reason why there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST = 10_000
"""Characters of a reply that are looked at, many times what a judge may write: of millions of braces each is tried."""


def grades(reply: str) -> Mapping[str, float] | str:
    """Accuracy and fluency of the first JSON object that has both, each from 0 to 1; else what is wrong with the reply.

    Prose or a fence around the object is no obstacle. A number outside 0 … 1 or a text in its place is: nothing is
    rounded, cut or guessed.
    """
    for found in _objects(reply):
        if {"accuracy", "fluency"} <= {*found}:
            values = {name: found[name] for name in ("accuracy", "fluency")}
            wrong = [name for name, value in values.items() if not _is_grade(value)]
            if wrong:
                return f"{wrong[0]} is not a number from 0 to 1"
            return {name: float(value) for name, value in values.items()}
    return "holds no JSON object with accuracy and fluency"


def choice(reply: str) -> bool | str:
    """Whether the first of two options was chosen; else what is wrong with the reply."""
    for found in _objects(reply):
        if found.get("better_known") in ("first", "second"):
            return bool(found["better_known"] == "first")
    return "holds no JSON object with better_known, first or second"


def _is_grade(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object that begins at a brace of the text's start, from left to right."""
    text = text[:_LONGEST]
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(found, dict):
                yield found
        place = text.find("{", end)
