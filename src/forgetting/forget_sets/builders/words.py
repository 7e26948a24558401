"""Overlap by words: which words are characteristic of a domain, and the share of a text's words that are.

A word is a run of letters, case ignored, or a character of a script without spaces (`forgetting.data.words`); a number
is one word, whichever it is. It counts once per text, so that a long
text on one thing does not make its words the domain's. With y_w the texts that hold w and n = Σ_w y_w, of the domain
(d) and of the general corpus (g), a word is characteristic by its log-odds with an informative Dirichlet prior

    δ_w = log[(y_w^d + α_w) / (n_d + α₀ − y_w^d − α_w)] − log[(y_w^g + α_w) / (n_g + α₀ − y_w^g − α_w)]
    z_w = δ_w / sqrt(1/(y_w^d + α_w) + 1/(y_w^g + α_w))

(Monroe, Colaresi and Quinn 2008, eqs. 16, 20 and 22) if z_w ≥ 3 and its odds are at least 4 times as high. The second
condition keeps out words such as "of", whose use differs between kinds of text and not between subjects. The prior
deals half a count per word of the vocabulary out by the frequency in both together.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetting.core.errors import DataError
from forgetting.data.words import RUN

LEAST_Z = 3.0
LEAST_ODDS = 4.0
PRIOR = 0.5
"""Counts of the prior per word of the vocabulary."""
TELLING = 8
"""Characteristic words that are named of a text."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a domain, and how much of them the texts hold."""

    characteristic: tuple[str, ...]
    """By falling z."""
    general: NDArray[np.float64]
    """Of each general text the share of its distinct words that are characteristic, `[texts]`."""
    domain: NDArray[np.float64]
    """The same of the domain's own texts."""
    telling: tuple[tuple[str, ...], ...]
    """Of each general text the characteristic words that it holds, by falling z, eight at most."""


def compare_words(general: Sequence[str], domain: Sequence[str]) -> Words:
    """Finds the domain's characteristic words and what share of each text they are. A text without a word has share 0.

    Raises:
        DataError: there are no texts or no words on a side.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, preprocessor=_plain, tokenizer=RUN.findall, token_pattern=None)
    try:
        held = counter.fit_transform(chain(general, domain)).tocsr()
    except ValueError:
        raise DataError("neither the general corpus nor the domain holds a word; give texts") from None
    sides = held[: len(general)], held[len(general) :]
    y_g, y_d = (np.asarray(side.sum(axis=0), dtype=np.float64).ravel() for side in sides)
    for side, counts in (("general corpus", y_g), ("domain", y_d)):
        if not counts.any():
            raise DataError(f"the {side} holds no words; give texts")
    z = log_odds(y_d, y_g)
    names = counter.get_feature_names_out()
    order = np.argsort(-z, kind="stable")
    order = order[: int(np.count_nonzero(z))]
    rank = np.full(len(names), len(names))
    rank[order] = np.arange(len(order))
    shares = [_shares(side, z > 0) for side in sides]
    return Words(
        characteristic=tuple(names[order].tolist()),
        general=shares[0],
        domain=shares[1],
        telling=tuple(
            tuple(names[i] for i in sorted(row[z[row] > 0], key=lambda i: rank[i])[:TELLING])
            for row in np.split(sides[0].indices, sides[0].indptr[1:-1])
        ),
    )


def log_odds(domain: NDArray[np.float64], general: NDArray[np.float64]) -> NDArray[np.float64]:
    """z_w of the characteristic words, 0 of all others, from the texts that hold each word on both sides, `[words]`."""
    n_d, n_g = domain.sum(), general.sum()
    alpha = PRIOR * len(domain) * (domain + general) / (n_d + n_g)
    total = alpha.sum()

    def odds(y: NDArray[np.float64], n: float) -> NDArray[np.float64]:
        return np.log(y + alpha) - np.log(n + total - y - alpha)

    # The one word of a one-word vocabulary has infinite odds on both sides.
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = np.nan_to_num(odds(domain, n_d) - odds(general, n_g), nan=0.0)
    z = delta / np.sqrt(1 / (domain + alpha) + 1 / (general + alpha))
    return np.where((z >= LEAST_Z) & (delta >= math.log(LEAST_ODDS)), z, 0.0)


def _shares(held: Any, characteristic: NDArray[np.bool_]) -> NDArray[np.float64]:
    found = np.asarray(held @ characteristic.astype(np.float64)).ravel()
    words = np.asarray(held.sum(axis=1), dtype=np.float64).ravel()
    return np.divide(found, words, out=np.zeros_like(found), where=words > 0)


def _plain(text: str) -> str:
    return _NUMBER.sub("0", unicodedata.normalize("NFC", text).lower())
