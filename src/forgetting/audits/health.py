"""The state of a model's answers: whether it still writes varied, finished text. A gate, not an attack."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from forgetting.audits.attack import Attack
from forgetting.audits.greedy import once
from forgetting.audits.registry import register_attack
from forgetting.core.measure import Direction, Measure
from forgetting.core.record import Record
from forgetting.data.words import words
from forgetting.metrics.per_example import mean
from forgetting.metrics.repetition import answer_words, loops
from forgetting.metrics.text import normalized


@register_attack("health")
def health() -> Attack:
    """Measures how the answers are written: loops, length, variety. A broken model passes every attack.

    Compare the model after with the one before: answers that all say the same, say one phrase over and over or say
    nothing are damage and no forgetting.
    """
    return Attack(run=once, measures=health_measures, leaks=())


def health_measures(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """Loops, words, distinct-2, entropy and share of empty answers of each split.

    Args:
        records: of one model, by split; with their texts.
    """
    found: list[Measure] = []
    for split, some in records.items():
        written = [record.generation for record in some if record.generation is not None]
        found += mean(loops, [split], "down")({split: some}, None)
        found += mean(answer_words, [split], "none")({split: some}, None)
        found += [_of(written, split, name, meaning, value) for name, (meaning, value) in _OVER_ALL.items()]
    return found


def distinct_2(texts: Sequence[str]) -> float | None:
    """Different pairs of neighbouring words as a share of all pairs; None: no answer has two words.

    Li et al. 2016, https://arxiv.org/abs/1510.03055, over all answers.
    """
    pairs = [pair for text in texts for said in [words(text)] for pair in pairwise(said)]
    return len(set(pairs)) / len(pairs) if pairs else None


def entropy(texts: Sequence[str]) -> float | None:
    """The entropy of the answers in bits, over its greatest value log2(n); 0: all are the same. None: fewer than 2."""
    if len(texts) < 2:
        return None
    counts = Counter(map(normalized, texts)).values()
    return sum(n / len(texts) * math.log2(len(texts) / n) for n in counts) / math.log2(len(texts))


def empty(texts: Sequence[str]) -> float | None:
    """The share of answers without a word; None: there are no answers."""
    return sum(not words(text) for text in texts) / len(texts) if texts else None


_OVER_ALL: Mapping[str, tuple[str, Callable[[Sequence[str]], float | None]]] = {
    "distinct_2": ("Different pairs of neighbouring words as a share of all in the answers. 0 = one pair.", distinct_2),
    "answer_entropy": ("Variety of whole answers: their entropy over the highest possible. 0 = all alike.", entropy),
    "empty": ("Share of answers without a word.", empty),
}


def _of(
    texts: Sequence[str], split: str, name: str, meaning: str, value: Callable[[Sequence[str]], float | None]
) -> Measure:
    found = value(texts)
    reason = "" if found is not None else f"none of the {len(texts)} answers of split '{split}' has what it needs"
    direction: Direction = "down" if name == "empty" else "none"
    return Measure(
        name=name, split=split, value=found, count=len(texts), direction=direction, meaning=meaning, reason=reason
    )
