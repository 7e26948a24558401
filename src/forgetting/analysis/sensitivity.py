"""Head-wise Fisher information of the attention projections, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.analysis.attention_heads import Slices, medians, slices
from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, alone_bytes, by_role, entries, statistics
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.resampled import estimate_statistic
from forgetting.core.batch import Batch
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.core.series import Series
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded, encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import padding_id
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import RESAMPLES
from forgetting.models.view import View
from forgetting.training.fisher import each_gradient

Reading = Literal["sequence_sum", "sequence_mean", "token"]
"""Whose gradient is squared: that of an example's summed loss, of its mean over tokens, or of each token's loss."""
ByExample = NDArray[np.float64]


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Forward and backward of each row alone, or of each of its tokens; gradients of the attention's projections."""
    shape = known.shape

    def of(whole: Rows) -> Cost:
        rows = whole.first(int(parameters["examples"]))
        passes = [n if parameters["reading"] == "token" else 1 for n in rows.supervised]
        tokens = sum(n * length for n, length in zip(passes, rows.lengths, strict=True))
        heads = rows.count * shape.layers * shape.heads
        work = Work(
            alone=2 * shape.entries * tokens * 3,
            logits=3 * shape.vocabulary * sum(n * s for n, s in zip(passes, rows.supervised, strict=True)),
            entries=2 * entries(shape.attended) * sum(passes),
            touched=4.0 * RESAMPLES * heads,
        )
        held = alone_bytes(shape, max(rows.lengths), max(rows.supervised))
        most = max((out * inner for out, inner in shape.attended), default=0)
        return Cost(work * 2 + statistics(rows, 1), held + 12 * most + 8 * 8 * heads)

    return by_role(known, of)


@register_analysis("sensitivity", cost=_cost, oracle=False)
def sensitivity(reading: Reading = "sequence_sum", examples: int = 100) -> Analysis:
    """Empirical Fisher information of each attention head, before and after, on the same examples (F2F, appendix A.5).

    f of a head is the mean over its entries of (∂ℓ/∂W)², averaged over q, k and v, ℓ the negative log-likelihood in
    nats. The paper squares the gradient of a "token-level NLL" and does not say of what sum: see `reading`. Heads are
    cut by the config's `head_dim` (the paper's hidden size over heads is wrong where they differ), heads of keys and
    values count for each query head that reads them, and fused matrices are unpacked. With adapters the gradient is
    that of the effective weight.

    Args:
        reading: `sequence_sum`, `sequence_mean` or `token`; the last one takes a backward pass for each token.
        examples: of each role, at most; one backward pass each.

    Raises:
        ValueError: another reading, or no examples.
    """
    if reading not in get_args(Reading):
        raise ValueError(f"reading is {reading!r}; write one of {', '.join(get_args(Reading))}")
    if examples < 1:
        raise ValueError(f"examples is {examples}; write a whole number from 1 up")

    def analysis(compared: Compared) -> Findings:
        parts = [_of_role(compared, role, some[:examples], reading) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


def head_fisher(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    formatting: Formatting,
    reading: Reading = "sequence_sum",
    voice: Voice,
) -> ByExample:
    """Squared gradients by example, layer and head, `[N, L, H, 3]` (q, k, v), float64; their mean over N is F.

    Of reading `token`, an example's value is the mean over its tokens, weighted so that the mean over examples is the
    mean over all tokens. Each row is differentiated alone. The model's weights and `.grad` stay as they are.

    Raises:
        DataError: an example without a supervised token.
        ModelError: heads that cannot be told.
    """
    rows = [encode(example, tokenizer, formatting) for example in examples]
    where = slices(model)
    places = {part: i for i, part in enumerate("qkv")}
    order = {layer: i for i, layer in enumerate(sorted({s.layer for s in where}))}
    by_module: dict[str, list[Slices]] = {}
    for one in where:
        by_module.setdefault(one.module, []).append(one)
    found = np.zeros((len(rows), len(order), len(where[0].rows_H), 3))
    tokens = sum(row.supervised for row in rows)
    current, scale = 0, 1.0

    def batches() -> Iterator[Batch]:
        nonlocal current, scale
        for current, row in enumerate(rows):
            for part in _singles(row) if reading == "token" else [row]:
                scale = {
                    "sequence_sum": 1.0,
                    "sequence_mean": 1.0 / row.supervised**2,
                    "token": len(rows) / tokens,
                }[reading]
                yield collate({"": [(current, part)]}, pad_id=padding_id(tokenizer))
            voice.progress(current + 1, len(rows), "gradients")

    def use(name: str, gradient_OI: Tensor) -> None:
        squares_O = gradient_OI.square_().mean(1).double().cpu().numpy()
        for one in by_module[name]:
            values_H = [squares_O[rows].mean() for rows in one.rows_H]
            found[current, order[one.layer], :, places[one.part]] += scale * np.array(values_H)

    each_gradient(model, batches(), list(by_module), use)
    return found


def _singles(row: Encoded) -> Iterator[Encoded]:
    """The row once for each supervised token, which alone is supervised."""
    for place, weight in enumerate(row.weights):
        if weight:
            yield replace(row, weights=tuple(weight if i == place else 0.0 for i in range(len(row.weights))))


def _of_role(compared: Compared, role: str, examples: Sequence[Example], reading: Reading) -> Findings:

    def of(view: View) -> ByExample:
        with view.active() as model:
            found = head_fisher(
                cast(PreTrainedModel, model),
                compared.tokenizer,
                examples,
                formatting=compared.formatting,
                reading=reading,
                voice=compared.voice,
            )
        return found.mean(-1)

    start_NLH, after_NLH = of(compared.start), of(compared.after)
    clusters = [e.cluster for e in examples]

    def ratio(indices_N: NDArray[np.float64]) -> float:
        picked = indices_N.astype(int)
        return float(np.exp(np.mean(np.log(after_NLH[picked].mean(0) / start_NLH[picked].mean(0)))))

    usable = bool((start_NLH.mean(0) > 0).all() and (after_NLH.mean(0) > 0).all())
    absent = "" if usable else "a head has no gradient"
    estimate = estimate_statistic(
        [float(i) for i in range(len(examples))] if usable else [],
        clusters if usable else [],
        ratio,
        key=f"{role}/fisher",
    )
    sizes = {"start": start_NLH, "after": after_NLH}
    measures: list[Measure] = [
        measure(estimate, name="fisher_ratio", split=role, direction="none", meaning=_RATIO, absent=absent)
    ]
    measures += [
        Measure(
            name=f"fisher_{point}",
            split=role,
            value=float(np.median(values.mean(0))),
            count=len(examples),
            meaning=f"Median over heads and layers of the Fisher information, nats² ({point}; {reading}).",
        )
        for point, values in sizes.items()
    ]
    series = []
    for point, values in sizes.items():
        middle, low, high = medians(values.mean(0))
        series.append(
            Series(
                figure="fisher",
                name=f"{role}, {point}",
                x_label="layer",
                y_label="Fisher information of heads, nats² (median, quartiles)",
                x=tuple(map(float, range(len(middle)))),
                y=tuple(middle),
                low=tuple(low),
                high=tuple(high),
            )
        )
    return Findings(measures=tuple(measures), series=tuple(series))


_RATIO = (
    "Fisher information of attention heads after over before, geometric mean over all heads; above 1: the loss depends "
    "more on these weights than before."
)
