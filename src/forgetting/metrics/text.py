"""What the model writes, against the right answer: ROUGE-L and exact match of greedy answers."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from forgetting.core.record import Record
from forgetting.metrics.per_example import PerExample

_FINAL_PUNCTUATION = ".!?,;:…。！？，；："
_NEEDS_WORDS = "a generated answer and a right answer with letters a-z or digits (ROUGE reads no other script)"


class RougeL(NamedTuple):
    """Longest common subsequence of words, as a share of the right answer's words and as an F1."""

    recall: float
    f1: float


@lru_cache(maxsize=65536)  # recall, F1, each popularity bin and the utility ask for the same pairs
def rouge_l(answer: str, generation: str) -> RougeL | None:
    """ROUGE-L of rouge-score with Porter stemming, as TOFU and DUET compute it; None if `answer` has no words for it.

    rouge-score lower-cases and keeps the letters a-z and digits; an answer in another script has nothing to match.
    """
    if not _tokenizer().tokenize(answer):
        return None
    result = _scorer().score(answer, generation)["rougeL"]
    return RougeL(float(result.recall), float(result.fmeasure))


def normalized(text: str) -> str:
    """`text` as exact match compares it: trimmed, case-folded, white space as single blanks, final punctuation off.

    Final punctuation is any run of `. ! ? , ; : …` and their full-width forms; a text of nothing else is kept.
    """
    folded = " ".join(text.casefold().split())
    return folded.rstrip(_FINAL_PUNCTUATION + " ") or folded


@cache
def _tokenizer() -> DefaultTokenizer:
    return DefaultTokenizer(use_stemmer=True)


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(["rougeL"], tokenizer=_tokenizer())


def _rouge(record: Record) -> RougeL | None:
    return None if record.generation is None else rouge_l(record.answer, record.generation)


def _recall(record: Record) -> float | None:
    scored = _rouge(record)
    return scored.recall if scored else None


def _f1(record: Record) -> float | None:
    scored = _rouge(record)
    return scored.f1 if scored else None


def _exact(record: Record) -> float | None:
    if record.generation is None or not record.answer.strip():
        return None
    return float(normalized(record.generation) == normalized(record.answer))


rouge_l_recall = PerExample(
    "rouge_l_recall",
    _recall,
    "How much of the right answer the model's own answer contains, in order, word by word (ROUGE-L recall). 1 = all.",
    _NEEDS_WORDS,
    unit=True,
)
"""ROUGE-L recall with stemming: says nothing about what else was written."""

rouge_l_f1 = PerExample(
    "rouge_l_f1",
    _f1,
    "Overlap of the model's own answer with the right one, word by word (ROUGE-L F1): extra words count against it.",
    _NEEDS_WORDS,
    unit=True,
)
"""ROUGE-L F1 with stemming."""

exact_match = PerExample(
    "exact_match",
    _exact,
    "Share of questions whose greedy answer is the right answer; case, spacing and final punctuation are ignored.",
    "a generated answer and a right answer to compare it with",
    unit=True,
)
"""1 if `normalized(generation) == normalized(answer)`, else 0. An answer that runs on is not a match."""
