"""How long operations take on this machine with this model: each kind is timed once, in about a second together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.analysis.attention_heads import slices
from forgetting.analysis.cost import Shape, Work
from forgetting.analysis.resampled import estimate_statistic
from forgetting.core.example import Example
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.rows import ENOUGH_TOKENS, columns_of
from forgetting.metrics.changes import mean_change
from forgetting.metrics.statistics import RESAMPLES
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.objectives.statistics import LOGP, RANK
from forgetting.training.fisher import each_gradient

_CLUSTERS = 40
_RESAMPLES = 100
_SIDE = 320
_TOUCHED = 2**21
_SLOW = 0.3
"""Seconds; what takes longer is timed no second time."""


def measured_rates(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], formatting: Formatting
) -> Work:
    """The seconds of one operation of each kind. The model is left as it was.

    Args:
        model: any of the models; its forward and backward pass are timed with the adapters that are active.
        tokenizer: its own.
        examples: some of those that will be read; a batch and a row of middle length are timed.
        formatting: of the examples.

    Raises:
        DataError: an example without a supervised token; its row is named.
        ModelError: a model whose layers are not found.
    """
    rows = sorted((encode(e, tokenizer, formatting) for e in examples), key=lambda row: len(row.ids))
    shape = Shape.of(model)
    found = [*_of_forward(model, shape, rows, padding_id(tokenizer)), *_of_arrays(shape, rows)]
    return Work(**dict(found))


def _of_forward(model: nn.Module, shape: Shape, rows: Sequence[Encoded], pad_id: int) -> list[tuple[str, float]]:
    middle = len(rows) // 2
    count = max(1, min(len(rows), ENOUGH_TOKENS // len(rows[middle].ids)))
    some = rows[max(0, middle - count // 2) :][:count]
    device, head = next(model.parameters()).device, head_of(model)
    batch = collate({"": list(enumerate(some))}, pad_id=pad_id).to(device)
    alone = collate({"": [(0, rows[middle])]}, pad_id=pad_id)
    first = slices(cast(PreTrainedModel, model))[0].module
    with in_evaluation_mode(model), torch.no_grad():
        hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
        forward = _timed(
            lambda: supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
        )
        logits = _timed(lambda: columns_of(hidden_ND, head, batch.targets_N, (LOGP, RANK)))
    each_logit = logits / (len(hidden_ND) * shape.vocabulary)

    def differentiated() -> None:
        each_gradient(cast(PreTrainedModel, model), [alone], [first], lambda name, gradient_OI: None)

    both = _timed(differentiated) - 3 * each_logit * len(alone.targets_N) * shape.vocabulary
    return [
        ("forward", forward / (2 * shape.entries * sum(len(row.ids) for row in some))),
        ("logits", each_logit),
        ("alone", max(both, 0.0) / (2 * shape.entries * len(rows[middle].ids) * 3)),
    ]


def _of_arrays(shape: Shape, rows: Sequence[Encoded]) -> list[tuple[str, float]]:
    draw = torch.Generator().manual_seed(0)
    out, inner = max(shape.matrices, key=lambda side: side[0] * side[1])
    tokens = len(rows[len(rows) // 2].ids)
    grad_TO, x_TI = torch.randn(tokens, out, generator=draw), torch.randn(tokens, inner, generator=draw)
    total_OI = torch.zeros(out, inner)
    square = torch.randn(_SIDE, _SIDE, generator=draw, dtype=torch.float64)
    left, right = torch.randn(256, _SIDE, generator=draw), torch.randn(_SIDE, 4 * _SIDE, generator=draw)
    line, other = np.ones(_TOUCHED), np.ones(_TOUCHED)
    block = torch.zeros(_TOUCHED, dtype=torch.uint8)
    values, names = list(map(float, range(_CLUSTERS))), [str(n) for n in range(_CLUSTERS)]

    def median(clusters: int) -> float:
        few = values[:clusters]
        return (
            _timed(lambda: estimate_statistic(few, names[:clusters], _median, key="", resamples=_RESAMPLES))
            / _RESAMPLES
        )

    many, few = median(_CLUSTERS), median(2)
    drawn = max(0.0, many - few) / (_CLUSTERS - 2)
    return [
        ("entries", _timed(lambda: total_OI.add_(grad_TO.T @ x_TI)) / (2 * out * inner)),
        ("double", _timed(lambda: torch.linalg.eigvalsh(square @ square.T)) / (5 * _SIDE**3)),
        ("single", _timed(lambda: left @ right) / (2 * 256 * _SIDE * 4 * _SIDE)),
        ("touched", _timed(lambda: line * other) / (2 * _TOUCHED)),
        ("drawn", _timed(lambda: mean_change(values, names, key="")) / (RESAMPLES * _CLUSTERS)),
        ("redrawn", drawn),
        ("resamples", max(0.0, few - 2 * drawn)),
        ("calls", _timed(_small_fit)),
        ("hashed", _timed(lambda: hashlib.sha256(block.numpy().tobytes()).digest()) / _TOUCHED),
    ]


def _median(values_N: np.ndarray) -> float:
    return float(np.median(values_N))


def _small_fit() -> None:
    states_MD = np.arange(2.0 * _CLUSTERS).reshape(_CLUSTERS, 2) % 7
    scaler = StandardScaler().fit(states_MD)
    fitted = RidgeClassifier().fit(scaler.transform(states_MD), np.arange(_CLUSTERS) % 2 > 0)
    for _ in range(2):
        fitted.decision_function(scaler.transform(states_MD))


def _timed(
    work: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
    worked: Callable[[], float] = time.process_time,
) -> float:
    """Seconds, the least of three runs: whatever else the machine does only adds to them.

    On a processor no more than it worked: the time in which it did something else does not count.
    """
    found = []
    for _ in range(3):
        began, busy = clock(), worked()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            found.append(clock() - began)
        else:
            found.append(min(clock() - began, worked() - busy))
        if found[-1] > _SLOW:
            break
    return min(found)
