"""The small world of `golden/mia.json`: its model, its rows, and the statistics of their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetting.metrics.membership.scores import TokenStatistics
from tests.golden import golden

GOLDEN: dict[str, Any] = golden("mia")
SEED: int = GOLDEN["_inputs"]["seed"]
WORDS: list[str] = GOLDEN["_inputs"]["words"]


@dataclass(frozen=True)
class Row:
    """Token ids, of which those after the first `prompt` are supervised."""

    ids: tuple[int, ...]
    prompt: int

    @property
    def labels(self) -> tuple[int, ...]:
        return self.ids[self.prompt :]

    @property
    def text(self) -> str:
        return " ".join(WORDS[i] for i in self.labels)


def rows_of(kind: str) -> list[Row]:
    return [Row(tuple(row["ids"]), row["prompt"]) for row in GOLDEN["_inputs"][kind]]


def weights(seed: int = SEED) -> tuple[NDArray[np.float64], ...]:
    """Embeddings, head and bias of the model: logits = tanh(E[x]) Wᵀ + c."""
    rs = np.random.RandomState(seed)
    return rs.randn(13, 4), rs.randn(13, 4), 0.5 * rs.randn(13)


def logits_of(row: Row, seed: int = SEED) -> NDArray[np.float64]:
    """At the positions before the supervised tokens, `[T, 13]`."""
    embedding, head, bias = weights(seed)
    return np.tanh(embedding[list(row.ids[row.prompt - 1 : -1])]) @ head.T + bias


def tokens_of(row: Row, seed: int = SEED) -> TokenStatistics:
    """By definition, in float64."""
    logits_TV = logits_of(row, seed)
    log_p_TV = logits_TV - np.log(np.exp(logits_TV).sum(-1, keepdims=True))
    mean_T = (np.exp(log_p_TV) * log_p_TV).sum(-1)
    variance_T = (np.exp(log_p_TV) * (log_p_TV - mean_T[:, None]) ** 2).sum(-1)
    logp_T = log_p_TV[np.arange(len(row.labels)), list(row.labels)]
    return TokenStatistics(logp=tuple(logp_T), entropy=tuple(-mean_T), varentropy=tuple(variance_T))
