"""Records with membership scores: a model and examples → what each answer's tokens say about having been seen."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.example import Example
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, Score
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.data.tokens import response_text
from forgetting.evaluation.answers import padding_id
from forgetting.evaluation.gradient_norms import gradient_norms
from forgetting.evaluation.records import record_of
from forgetting.evaluation.token_columns import Columns, token_columns
from forgetting.metrics.membership.measures import TOKENS
from forgetting.metrics.membership.scores import GRADIENT, Reading, TokenStatistics, scores
from forgetting.objectives.statistics import ENTROPY, LOGP, VARENTROPY


def membership_records(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    split: str,
    formatting: Formatting,
    ks: Sequence[float],
    reading: Reading = "whole",
    gradients: bool = False,
    voice: Voice = SILENT,
) -> list[Record]:
    """A record for each example: its likelihood, and in `values` LOSS, zlib, Min-K%, Min-K%++ and its tokens' count.

    One pass over the examples gives all but the norm of the gradient, which takes a pass back for each.

    Args:
        ks: the shares of Min-K%.
        reading: which tokens count (`metrics.membership.scores`).
        gradients: whether the norm of the gradient is taken too.

    Raises:
        DataError: an example without a supervised token; its row is named.
    """
    columns = token_columns(
        model, tokenizer, examples, (LOGP, ENTROPY, VARENTROPY), formatting=formatting, progress=voice.progress
    )
    norms: Sequence[float | None] = [None] * len(examples)
    if gradients:
        rows = [encode(example, tokenizer, formatting) for example in examples]
        norms = gradient_norms(model, rows, pad_id=padding_id(tokenizer), reading=reading, progress=voice.progress)
    return [
        record_of(
            example,
            split,
            tokenizer,
            score=Score(sum(found[LOGP.name]), len(found[LOGP.name])),
            values={
                **scores(_tokens(found), response_text(example, tokenizer), ks=ks, reading=reading),
                **({} if norm is None else {GRADIENT: norm}),
                TOKENS: float(len(found[LOGP.name])),
            },
        )
        for example, found, norm in zip(examples, columns, norms, strict=True)
    ]


def _tokens(found: Columns) -> TokenStatistics:
    return TokenStatistics(logp=found[LOGP.name], entropy=found[ENTROPY.name], varentropy=found[VARENTROPY.name])
