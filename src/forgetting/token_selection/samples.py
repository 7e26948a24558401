"""Samples of a selection for the report: examples token by token, the lowest tokens in context, shares by source."""

from __future__ import annotations

import heapq
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from forgetting.core.example import Example
from forgetting.data.encode import Encoded
from forgetting.token_selection.scoring import ScoredRow

EXAMPLES, LOWEST, LOWEST_OF_ONE = 20, 40, 2
BEFORE, AFTER = 12, 6


@dataclass
class Look:
    """Collects, row by row, the examples and tokens that are shown, and counts."""

    tokenizer: PreTrainedTokenizerBase
    rows: int
    seed: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """The name of each example's source, by example id; default: its file."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    _lowest: list[tuple[float, int, int, dict[str, Any]]] = field(default_factory=list)
    _seen: int = 0
    _endless: int = 0

    def __post_init__(self) -> None:
        self._shown = set(random.Random(self.seed).sample(range(self.rows), min(EXAMPLES, self.rows)))

    def add(self, example: Example, encoded: Encoded, scored: ScoredRow, signs_N: NDArray[np.int8]) -> None:
        """Adds the next row, with the sign of each of its supervised tokens."""
        counts = self.sources.setdefault(self.labels.get(example.id) or source_of(example), Counter())
        counts["tokens"] += len(signs_N)
        counts["negative"] += int((signs_N < 0).sum())
        self._endless += int((signs_N[-1:] < 0).sum())
        places = [i for i, w in enumerate(encoded.weights) if w != 0]
        quality_N = scored.quality
        if self._seen in self._shown:
            self.examples.append(self._example(example, encoded, places, quality_N, signs_N))
        for n in np.argsort(quality_N, kind="stable")[:LOWEST_OF_ONE]:
            self._consider(encoded, places[n], float(quality_N[n]))
        self._seen += 1

    @property
    def notes(self) -> list[str]:
        """Warnings about the rows."""
        if 2 * self._endless <= self._seen:
            return []
        return [
            f"the last token of {self._endless:,} of {self._seen:,} answers is negative: the base knew when to stop, "
            "and may unlearn it; write select.learn_ends=true to learn it anyway"
        ]

    def _consider(self, encoded: Encoded, place: int, quality: float) -> None:
        if len(self._lowest) == LOWEST and -quality <= self._lowest[0][0]:
            return
        context = {
            "key": encoded.key,
            "before": self.tokenizer.decode(list(encoded.ids[max(0, place - BEFORE) : place])),
            "token": pieces(self.tokenizer, encoded.ids, [place])[0],
            "after": self.tokenizer.decode(list(encoded.ids[place + 1 : place + 1 + AFTER])),
            "q": round(quality, 4),
        }
        entry = (-quality, -self._seen, -place, context)  # of equal qualities, the earlier token
        (heapq.heappushpop if len(self._lowest) == LOWEST else heapq.heappush)(self._lowest, entry)

    def _example(
        self,
        example: Example,
        encoded: Encoded,
        places: Sequence[int],
        quality_N: NDArray[np.float32],
        signs_N: NDArray[np.int8],
    ) -> dict[str, Any]:
        texts = pieces(self.tokenizer, encoded.ids, places)
        tokens = [
            {"text": text, "q": round(float(q), 4), "sign": int(sign)}
            for text, q, sign in zip(texts, quality_N, signs_N, strict=True)
        ]
        return {"key": encoded.key, "where": example.where, "prompt": example.prompt, "tokens": tokens}

    def to_json(self) -> dict[str, Any]:
        """`sources`, `examples` and `lowest` of selection.json."""
        return {
            "sources": [{"source": name, **counts} for name, counts in self.sources.items()],
            "examples": self.examples,
            "lowest": [entry[-1] for entry in sorted(self._lowest, key=lambda e: e[:3], reverse=True)],
        }


def source_of(example: Example) -> str:
    """The file, hub dataset or array of an example: its `where` without the row."""
    return re.sub(r"(:\d+|\[\d+\]|, row \d+)$", "", example.where) or "in memory"


def pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], places: Sequence[int]) -> list[str]:
    """The text that each token adds, spaces included, decoded after the token before it."""
    return [_piece(tokenizer, list(ids[max(0, place - 1) : place]), ids[place]) for place in places]


def _piece(tokenizer: PreTrainedTokenizerBase, before: list[int], token: int) -> str:
    start = tokenizer.decode(before, clean_up_tokenization_spaces=False)
    both = tokenizer.decode([*before, token], clean_up_tokenization_spaces=False)
    return both.removeprefix(start) if both.startswith(start) else tokenizer.decode([token])
