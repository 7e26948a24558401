"""Membership scores of one answer, from statistics of its tokens. All rise as the answer looks less seen.

LOSS (Yeom et al. 2018, https://arxiv.org/abs/1709.01604), zlib (Carlini et al. 2021,
https://arxiv.org/abs/2012.07805), Min-K% (Shi et al. 2024, https://arxiv.org/abs/2310.16789) and Min-K%++ (Zhang et al.
2025, https://arxiv.org/abs/2404.02936).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

LOSS, ZLIB, REFERENCE, GRADIENT = "loss", "zlib", "reference", "gradient_norm"
LEAST_VARIANCE = 1e-6
"""Below it the variance of log p counts as this much, nats²: a certain model has none to divide by."""

Reading = Literal["whole", "open_unlearning"]
"""`whole`: every supervised token counts. `open_unlearning`: its Min-K%, Min-K%++ and GradNorm leave out the last
supervised token, taken for the end token whether it is one or not, and an answer of one token scores 0, which is the
most seen there is; LOSS and zlib leave out nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatistics:
    """Of each of an answer's T supervised tokens, in order."""

    logp: Sequence[float]
    """log p of the token, nats."""
    entropy: Sequence[float]
    """Of the distribution that it was drawn from, nats: the mean of log p there, with the sign turned."""
    varentropy: Sequence[float]
    """The variance of log p there, nats²."""

    @property
    def without_last(self) -> TokenStatistics:
        """All but the last token."""
        return replace(self, logp=self.logp[:-1], entropy=self.entropy[:-1], varentropy=self.varentropy[:-1])


def min_k_name(k: float, *, plus_plus: bool = False) -> str:
    """`min_20` or `min_20_plus_plus` of k = 0.2."""
    return f"min_{100 * k:g}{'_plus_plus' if plus_plus else ''}"


def scores(tokens: TokenStatistics, text: str, *, ks: Sequence[float], reading: Reading = "whole") -> dict[str, float]:
    """LOSS, zlib, and Min-K% and Min-K%++ of each share k. A score that is not finite is left out.

    Args:
        tokens: at least one.
        text: the answer as text, which zlib compresses.
        ks: shares of the tokens, above 0, at most 1.
        reading: see `Reading`.
    """
    counted = tokens if reading == "whole" else tokens.without_last
    found = {LOSS: loss(tokens.logp), ZLIB: loss(tokens.logp) / compressed(text)}
    for k in ks:
        for plus_plus, each in ((False, counted.logp), (True, standardized(counted))):
            found[min_k_name(k, plus_plus=plus_plus)] = least_mean(each, k)
    return {name: score for name, score in found.items() if math.isfinite(score)}


def loss(logp_T: Sequence[float]) -> float:
    """The mean negative log-likelihood, nats per token."""
    return -float(np.mean(logp_T))


def compressed(text: str) -> int:
    """Bytes of the text as zlib compresses it at its default level; other builds of zlib may give other lengths."""
    return len(zlib.compress(text.encode()))


def standardized(tokens: TokenStatistics) -> list[float]:
    """z = (log p - μ) / σ, μ and σ of log p under the distribution that each token was drawn from."""
    return [
        (logp + entropy) / math.sqrt(max(variance, LEAST_VARIANCE))
        for logp, entropy, variance in zip(tokens.logp, tokens.entropy, tokens.varentropy, strict=True)
    ]


def least_mean(values_T: Sequence[float], k: float) -> float:
    """The mean of the lowest max(1, ⌊k T⌋) values with the sign turned; 0 of no values, which is open-unlearning's."""
    if not len(values_T):
        return 0.0
    return -float(np.mean(np.sort(values_T)[: max(1, int(k * len(values_T)))]))


def build_of_zlib() -> str:
    """The version of the zlib that compresses here."""
    return zlib.ZLIB_RUNTIME_VERSION
