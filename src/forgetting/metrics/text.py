"""What the model writes, against the right answer: ROUGE-L and exact match of greedy answers."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

import regex
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from forgetting.core.record import Record
from forgetting.data.words import folded, has_other_script, words
from forgetting.metrics.per_example import Caveat, PerExample

_FINAL_PUNCTUATION = ".!?,;:…。！？，；：｡．、؟؛،۔।॥။៕։።"
_NEEDS_WORDS = "a generated answer and a right answer with letters or digits"
_UNSEEN_LATIN = regex.compile(r"[\p{Latin}--[a-zA-Z]]", regex.V1)


class RougeL(NamedTuple):
    """Longest common subsequence of words, as a share of the right answer's words and as an F1."""

    recall: float
    f1: float


@lru_cache(maxsize=65536)  # recall, F1, each popularity bin and the utility ask for the same pairs
def rouge_l(answer: str, generation: str) -> RougeL | None:
    """ROUGE-L of rouge-score with Porter stemming, as TOFU and DUET compute it; None if `answer` has no words.

    rouge-score's own tokenizer lower-cases and keeps the letters a-z and digits 0-9. Of Latin texts that is what is
    counted, as published. Of another script it would see no words, or only the numbers and Latin names between them:
    there all words of both texts are counted (`forgetting.data.words`), a-z words stemmed. A generation in another
    script changes the F1 of a Latin answer, and not its recall.
    """
    answer, generation = (unicodedata.normalize("NFC", text) for text in (answer, generation))
    other = has_other_script(answer)
    if not _tokenizer(other).tokenize(answer):
        return None
    result = _scorer(other).score(answer, generation)["rougeL"]
    over_all = _scorer(other or has_other_script(generation)).score(answer, generation)["rougeL"]
    return RougeL(float(result.recall), float(over_all.fmeasure))


def normalized(text: str) -> str:
    """`text` as exact match compares it: trimmed, case-folded, white space as single blanks, final punctuation off.

    Final punctuation is any run of `. ! ? , ; : …`, their full-width forms and those of other scripts; a text of
    nothing else is kept. Composed and decomposed characters (NFC, NFD) are the same.
    """
    plain = " ".join(folded(text).split())
    return plain.rstrip(_FINAL_PUNCTUATION + " ") or plain


class _EveryWord(Tokenizer):
    """The words of any script; a-z words are stemmed as rouge-score stems them."""

    def tokenize(self, text: str) -> list[str]:
        return [
            stem for word in words(text) for stem in (_tokenizer(False).tokenize(word) if word.isascii() else [word])
        ]


@cache
def _tokenizer(every: bool) -> Tokenizer:
    return _EveryWord() if every else DefaultTokenizer(use_stemmer=True)


@cache
def _scorer(every: bool) -> RougeScorer:
    return RougeScorer(["rougeL"], tokenizer=_tokenizer(every))


def other_script(record: Record) -> bool:
    """Whether the right answer or the model's own holds a script other than Latin."""
    return has_other_script(record.answer) or has_other_script(record.generation or "")


def _cut_words(record: Record) -> bool:
    said = record.answer + (record.generation or "")
    return not other_script(record) and _UNSEEN_LATIN.search(said) is not None


_CAVEATS = (
    Caveat(
        other_script,
        "another script than Latin: compared over all their words, where a script has no spaces character by "
        "character, which is not the published tokenizer.",
    ),
    Caveat(_cut_words, "letters beyond a-z, which the published tokenizer leaves out of their words."),
)
"""What ROUGE's tokenizer does not see, and how often."""


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
    caveats=_CAVEATS,
)
"""ROUGE-L recall with stemming: says nothing about what else was written."""

rouge_l_f1 = PerExample(
    "rouge_l_f1",
    _f1,
    "Overlap of the model's own answer with the right one, word by word (ROUGE-L F1): extra words count against it.",
    _NEEDS_WORDS,
    unit=True,
    caveats=_CAVEATS,
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
