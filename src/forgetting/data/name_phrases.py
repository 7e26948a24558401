"""Names and numbers in texts: what is written with a capital inside a sentence, and what holds a digit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

Phrase = tuple[str, ...]
"""Words, one after the other."""
_FUNCTION = """
a about after all also an and any are as at be because been before between both but by can could did do does
during each for from had has have he her his how i if in into is it its kind known more most much my name new no
not of on one only or other our over she should since so some such than that the their them then there these
they this those through to under up us was we were what when where which while who whom whose why will with
would yes you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n+")
_TOKEN = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*")


def name_phrases(
    texts: Sequence[tuple[str, str]], words: Callable[[str], Phrase]
) -> list[tuple[list[Phrase], list[Phrase]]]:
    """Of each pair of texts the names and numbers in both, as the words that `words` makes of them.

    Words with a capital that follow each other are one name. The first word of a sentence has a capital in any case: it
    belongs to a name only if it also occurs inside a sentence with one, and nowhere without. Numbers have 3 characters
    at least.
    """
    composed = [[unicodedata.normalize("NFC", text) for text in pair] for pair in texts]
    sentences = [[[_TOKEN.findall(s) for s in _SENTENCE.split(text)] for text in pair] for pair in composed]
    flat = [s for pair in sentences for text in pair for s in text if s]
    inside = {w for s in flat for w in s[1:] if _is_name(w)}
    small = {w for s in flat for w in s if w[:1].islower()}
    first = {s[0] for s in flat if s[0].casefold() in small | FUNCTION_WORDS or s[0] not in inside}

    def of(parts: list[list[str]]) -> list[Phrase]:
        found: list[Phrase] = []
        for sentence in parts:
            begins = bool(sentence) and sentence[0] in first and not any(c.isdigit() for c in sentence[0])
            found += _names(sentence[1:] if begins else sentence)
        return [phrase for name in found if (phrase := words(" ".join(name)))]

    return [(of(pair[0]), of(pair[1])) for pair in sentences]


def _names(sentence: Sequence[str]) -> list[Phrase]:
    """Runs of names, and numbers by themselves."""
    found: list[Phrase] = []
    run: list[str] = []
    for word in [*sentence, ""]:
        if _is_name(word) and word.casefold() not in FUNCTION_WORDS:
            run.append(word)
            continue
        if run:
            found.append(tuple(run))
            run = []
        if any(c.isdigit() for c in word) and len(word) > 2:
            found.append((word,))
    return found


def _is_name(word: str) -> bool:
    return word[:1].isupper() and len(word) > 1
