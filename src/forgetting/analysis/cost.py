"""What an analysis costs: operations by kind and memory, counted beforehand from the sizes of models and examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Self

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.example import Example
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length
from forgetting.metrics.statistics import RESAMPLES
from forgetting.models.adapters.targets import linear_layers, part_of
from forgetting.models.head import text_config
from forgetting.models.vocabulary import chunk_tokens
from forgetting.training.fisher import shape_of

Side = tuple[int, int]
"""`(out, in)` of a matrix."""


@dataclass(frozen=True, slots=True)
class Work:
    """Operations by kind; as rates: the seconds of one of each."""

    forward: float = 0.0
    """Flop of decoder blocks, examples in batches, without gradients; a backward pass counts as two forwards."""
    alone: float = 0.0
    """The same of examples that pass one by one."""
    logits: float = 0.0
    """Logits that are computed and reduced to a number for each token."""
    entries: float = 0.0
    """Entries of one example's gradient of a matrix that are formed and added up."""
    double: float = 0.0
    """Flop of products and decompositions in float64."""
    single: float = 0.0
    """Flop of products in float32, outside of the model."""
    touched: float = 0.0
    """Elements of arrays that a simple operation reads or writes."""
    drawn: float = 0.0
    """Clusters drawn for intervals of means, all at once."""
    redrawn: float = 0.0
    """Clusters drawn for intervals of other statistics, one resample at a time."""
    resamples: float = 0.0
    """Resamples of these."""
    calls: float = 0.0
    """Fits of a small linear model: what the library takes besides the arithmetic."""
    hashed: float = 0.0
    """Bytes of weights that are looked at, whether they are as they were."""

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: float) -> Work:
        return Work(*(a * times for a in astuple(self)))

    def seconds(self, rates: Work) -> dict[str, float]:
        """Seconds by kind, at these rates."""
        return {f.name: getattr(self, f.name) * getattr(rates, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one analysis, or of a part of it."""

    work: Work = Work()
    bytes: float = 0.0
    """The most that is held at once besides the models."""

    def then(self, other: Cost) -> Cost:
        """Of both, one after the other."""
        return Cost(self.work + other.work, max(self.bytes, other.bytes))


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model."""

    layers: int
    width: int
    vocabulary: int
    heads: int
    matrices: tuple[Side, ...]
    """Of the decoder's linear layers."""
    attended: tuple[Side, ...]
    """Those of them that make queries, keys and values."""
    itemsize: int = 4
    """Bytes of a weight."""
    copied: int = 0
    """Bytes of the largest weight, which is copied to be looked at."""

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """Those of a model, which may be on the meta device."""
        config, linear = text_config(model), linear_layers(model)
        sides = {name: shape_of(layer) for name, layer in linear.items()}
        return cls(
            layers=int(config.num_hidden_layers),
            width=int(config.hidden_size),
            vocabulary=int(config.vocab_size),
            heads=int(getattr(config, "num_attention_heads", 1)),
            matrices=tuple(sides.values()),
            attended=tuple(s for name, s in sides.items() if part_of(name) in ("q", "k", "v", "qkv")),
            itemsize=next(model.parameters()).element_size(),
            copied=max(p.numel() * p.element_size() for p in model.parameters()),
        )

    @property
    def entries(self) -> int:
        """Of all matrices of the decoder."""
        return entries(self.matrices)

    @property
    def largest(self) -> int:
        """Entries of the largest one."""
        return max((rows * columns for rows, columns in self.matrices), default=0)


@dataclass(frozen=True, slots=True)
class Rows:
    """The sizes of the examples of one role."""

    lengths: tuple[int, ...]
    """Tokens of each, prompt and answer."""
    supervised: tuple[int, ...]
    """Tokens of each answer."""
    clusters: int
    offered: tuple[int, ...] = ()
    """Of each example with wrong answers, how many."""

    @classmethod
    def of(cls, examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, formatting: Formatting) -> Self:
        """Those of examples.

        Raises:
            DataError: an example without a supervised token; its row is named.
        """
        rows = [encode(example, tokenizer, formatting) for example in examples]
        return cls(
            lengths=tuple(len(row.ids) for row in rows),
            supervised=tuple(row.supervised for row in rows),
            clusters=len({e.cluster for e in examples}),
            offered=tuple(len(e.perturbed) for e in examples if e.perturbed),
        )

    @property
    def count(self) -> int:
        """Examples."""
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Tokens of all examples."""
        return sum(self.lengths)

    @property
    def answered(self) -> int:
        """Tokens of all answers."""
        return sum(self.supervised)

    def first(self, count: int) -> Rows:
        """Those of the first examples only."""
        clusters = min(self.clusters, count)
        return Rows(self.lengths[:count], self.supervised[:count], clusters, self.offered[:count])

    def batch(self) -> tuple[int, int]:
        """Padded tokens of the largest batch, and the answers' tokens of the one that has most."""
        parts = list(by_length(self.lengths, BATCH_TOKENS, ENOUGH_TOKENS))
        padded = max((len(some) * max(self.lengths[i] for i in some) for some in parts), default=0)
        return padded, max((sum(self.supervised[i] for i in some) for some in parts), default=0)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known before an analysis."""

    shape: Shape
    rows: Mapping[str, Rows]
    """By role; roles without examples are left out."""
    views: int = 2
    """Models that an analysis of each model by itself reads: start, after, and the oracle if there is one."""
    thin: int = 0
    """The rank of the change, if it is that of adapters on one set of weights."""


Count = Callable[[Known, Mapping[str, Any]], Cost]
"""What an analysis costs, by all its parameters."""


def entries(sides: Sequence[Side]) -> int:
    """Entries of all these matrices."""
    return sum(rows * columns for rows, columns in sides)


def by_role(known: Known, of: Callable[[Rows], Cost]) -> Cost:
    """The cost of one role after another."""
    total = Cost()
    for rows in known.rows.values():
        total = total.then(of(rows))
    return total


def read(shape: Shape, rows: Rows, *, times: float = 1, states: int = 0, logits: float = 1) -> Cost:
    """Forwards in batches.

    Args:
        shape: of the model.
        rows: what passes.
        times: how often.
        states: layers whose states are kept for a batch.
        logits: how often each answer's tokens are read through the head.
    """
    padded, answered = rows.batch()
    passing = padded * (10 * shape.width + 2 * max((max(side) for side in shape.matrices), default=0)) * shape.itemsize
    kept = padded * states * shape.width * shape.itemsize
    chunk = min(answered, chunk_tokens(shape.vocabulary)) * shape.vocabulary
    read_out = chunk * (shape.itemsize + (4 if shape.itemsize < 4 else 0)) if logits else 0
    work = Work(
        forward=2 * shape.entries * rows.tokens * times, logits=rows.answered * shape.vocabulary * logits * times
    )
    return Cost(work, kept + max(passing, read_out))


def means(rows: Rows, count: float) -> Work:
    """So many intervals of means."""
    return Work(drawn=count * RESAMPLES * rows.clusters)


def statistics(rows: Rows, count: float, resamples: int = RESAMPLES) -> Work:
    """So many intervals of other statistics."""
    return Work(redrawn=count * resamples * rows.clusters, resamples=count * resamples)


def alone_bytes(shape: Shape, tokens: int, answered: int) -> float:
    """The memory of a forward and backward pass of so many padded tokens, without gradients of weights."""
    sizes = sum(rows + columns for rows, columns in shape.matrices) + 8 * shape.layers * shape.width
    chunk = min(answered, chunk_tokens(shape.vocabulary)) * shape.vocabulary
    return tokens * sizes * shape.itemsize + chunk * (4 * 4 + 2 * shape.itemsize)
