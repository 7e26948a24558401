"""How well quality finds tokens that are known to be wrong, where the data say which characters are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forgetting.report import wording
from forgetting.report.tokens.colours import Words
from forgetting.report.tokens.figures import percent
from forgetting.runs.token_selection import TokenSelection


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """One kind of noise: how well −Q, and the loss of the base alone, tell its tokens from right ones."""

    kind: str
    quality: str
    quality_interval: str
    loss: str
    loss_interval: str


@dataclass(frozen=True, slots=True)
class Noise:
    """A sentence on what was forgotten, and a row for all noise and for each kind of it."""

    text: str
    rows: tuple[NoiseRow, ...]


def noise_of(selection: TokenSelection, words: Words) -> Noise | None:
    """What the selection's `noise` says; None where the truth is not known."""
    noise = selection.noise
    if not noise:
        return None
    kinds = noise.get("kinds")
    rows = [_row("all", noise)]
    if isinstance(kinds, Mapping) and len(kinds) > 1:
        rows += [_row(wording.plain(str(kind)), found) for kind, found in kinds.items() if isinstance(found, Mapping)]
    return Noise(_text(noise, words), tuple(rows))


def _text(noise: Mapping[str, Any], words: Words) -> str:
    known = [_number(noise, name, "value") for name in ("labelled", "precision", "recall", "chosen")]
    if None in known:
        return ""
    labelled, precision, recall, chosen = (percent(value) for value in known)
    return (
        f"{labelled} of the tokens are known to be wrong. Of the negative tokens, {precision} are; of the wrong "
        f"tokens, {recall} are {words.negative}. Tokens drawn at random would give {labelled} and {chosen}."
    )


def _row(kind: str, noise: Mapping[str, Any]) -> NoiseRow:
    return NoiseRow(kind, *_cell(noise, "quality"), *_cell(noise, "loss"))


def _cell(noise: Mapping[str, Any], name: str) -> tuple[str, str]:
    """The value, and its interval or the reason why there is none."""
    value, low, high = (_number(noise, name, key) for key in ("value", "low", "high"))
    if value is None:
        found = noise.get(name)
        return wording.ABSENT, str(found.get("reason") or "") if isinstance(found, Mapping) else ""
    interval = "" if low is None or high is None else f"{wording.share(low)}–{wording.share(high)}"
    return wording.share(value), interval


def _number(noise: Mapping[str, Any], name: str, key: str) -> float | None:
    found = noise.get(name)
    value = found.get(key) if isinstance(found, Mapping) else None
    return value if isinstance(value, int | float) else None
