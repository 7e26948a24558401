"""Tokens as a reader sees them: coloured by their quality, white space visible, nothing that reorders the page."""

from __future__ import annotations

import math
import statistics
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from forgetting.report import wording
from forgetting.runs.token_selection import LowToken, ScoredExample, Token, TokenSelection

EXAMPLES = 4
"""Examples that are open at once."""
HEAD = 90
"""Tokens of an example that are open at once."""
MOST = 600
"""Tokens of an example that can be unfolded; a page of whole documents would be megabytes long."""
LOWEST = 12
"""Tokens of lowest quality that are open at once."""
PROMPT = 600
"""Characters of a prompt that are shown."""
BEFORE, AFTER = 110, 60
"""Characters of the context of a token of low quality."""

CLASSES = ("n3", "n2", "n1", "p1", "p2", "p3")
"""From far below the threshold to far above it."""
_SIGNS = {"\n": "⏎\n", "\r": "␍", "\t": "⇥"}
_JOINERS = "\u200c\u200d"
"""Invisible, but parts of Persian words and of emoji."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One step of the colour scale and the range of Q it covers."""

    class_: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One token: its text, its style, and the text shown when it is pointed at."""

    text: str
    class_: str
    note: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One example: its first tokens, those folded away, and how many are left out for length."""

    where: str
    prompt: str
    counts: str
    head: tuple[Piece, ...]
    tail: tuple[Piece, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Low:
    """A token of low quality with its context."""

    q: str
    before: str
    token: str
    after: str
    key: str


@dataclass(frozen=True, slots=True)
class Words:
    """How negative tokens are described: they are forgotten, or ignored where their weight was 0 throughout."""

    negative: str = "forgotten"

    def of(self, sign: int) -> str:
        """What happens to a token of this sign."""
        return {1: "learnt", 0: "ignored", -1: self.negative}[sign]


def signed(q: float | None) -> str:
    """Q with its sign: `+1.23`, `−0.450`."""
    text = wording.number(q)
    return f"+{text}" if q is not None and q > 0 and math.isfinite(q) else text


def bounds(selection: TokenSelection) -> tuple[float, ...]:
    """Where the colours change: at the threshold, a quarter and a whole standard deviation to each side."""
    middle = selection.threshold if _finite(selection.threshold) else 0.0
    std = selection.quality.std if selection.of_tokens else _spread_of_shown(selection)
    width = std if _finite(std) and std else 1.0
    return middle - width, middle - width / 4, middle, middle + width / 4, middle + width


def _spread_of_shown(selection: TokenSelection) -> float | None:
    """Where answers were selected, the spread in the file is that of their means: too narrow for tokens."""
    known = [token.q for example in selection.examples for token in example.tokens if _finite(token.q)]
    return statistics.pstdev(known) if known else None


def shades(selection: TokenSelection) -> list[Shade]:
    """The legend of the colours."""
    edges = [signed(edge) for edge in bounds(selection)]
    inner = [f"{low} to {high}" for low, high in pairwise(edges)]
    texts = [f"Q below {edges[0]}", *inner, f"{edges[-1]} or more"]
    return [Shade(class_, text) for class_, text in zip(CLASSES, texts, strict=True)]


def pieces(tokens: Sequence[Token], selection: TokenSelection, words: Words) -> tuple[Piece, ...]:
    """Every token with its style."""
    edges = bounds(selection)
    return tuple(_piece(token, edges, selection.of_tokens, words) for token in tokens)


def shown(example: ScoredExample, selection: TokenSelection, words: Words) -> Shown:
    """An example with every token coloured."""
    kept = pieces(example.tokens[:MOST], selection, words)
    # A fold that hides a line or less is in the way.
    head = len(kept) if len(kept) <= HEAD + 20 else HEAD
    signs = [token.sign for token in example.tokens]
    counted = [(sign, signs.count(sign)) for sign in (1, -1, 0)]
    told = [f"{wording.count(n)} {words.of(sign)}" for sign, n in counted if n]
    counts = f"{wording.count(len(signs))} tokens" + (f": {wording.join(told)}" if told else "")
    where = " · ".join(dict.fromkeys(part for part in (example.where, example.key) if part))
    prompt = wording.shortened(example.prompt, PROMPT)
    return Shown(where, prompt, counts, kept[:head], kept[head:], len(example.tokens) - len(kept))


def low(token: LowToken) -> Low:
    """A token of low quality; its context is one line."""
    before, after = (visible(text).replace("\n", "") if text else "" for text in (token.before, token.after))
    middle = visible(token.token).replace("\n", "")
    before = "…" + before[-BEFORE:] if len(before) > BEFORE else before
    return Low(signed(token.q), before, middle, wording.shortened(after, AFTER), token.key)


def visible(text: str) -> str:
    """White space as signs, so that no token is invisible; characters that reorder or hide text by their number."""
    if not text:
        return "∅"
    signs = _SIGNS if text.strip() else {**_SIGNS, " ": "␣"}
    return "".join(signs.get(letter, letter if _harmless(letter) else _numbered(letter)) for letter in text)


def _piece(token: Token, edges: Sequence[float], of_tokens: bool, words: Words) -> Piece:
    mark = {1: "", 0: " ignored", -1: " negative"}[token.sign]
    note = f"Q {signed(token.q)}, {words.of(token.sign)}" if _finite(token.q) else "no finite Q"
    return Piece(visible(token.text), _shade(token, edges, of_tokens) + mark, note)


def _shade(token: Token, edges: Sequence[float], of_tokens: bool) -> str:
    if token.q is None or not math.isfinite(token.q):
        return "unscored"
    at = bisect_right(edges, token.q)
    if of_tokens:
        # What is written is rounded: next to the threshold the sign knows the side.
        at = max(at, 3) if token.sign > 0 else min(at, 2)
    return CLASSES[at]


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _harmless(letter: str) -> bool:
    return letter in _JOINERS or letter == " " or unicodedata.category(letter) not in {"Cf", "Cs", "Zl", "Zp", "Zs"}


def _numbered(letter: str) -> str:
    return f"⟨U+{ord(letter):04X}⟩"
