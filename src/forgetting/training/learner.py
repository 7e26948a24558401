"""The module that a training loop prepares: a batch in, the step's loss out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.core.signals import Signals
from forgetting.models.head import Head, head_of, supervised_hidden
from forgetting.models.vocabulary import CHUNK_ELEMENTS, Piece, chunk_tokens, vocabulary_loss
from forgetting.objectives.objective import Objective


@dataclass(frozen=True)
class ReferenceSignals:
    """What the reference says of one role's tokens in a batch: statistics `[N]`, and its logits by slice of them."""

    statistics: dict[str, Tensor] = field(default_factory=dict)
    logits: Callable[[slice], Tensor] | None = None


class Learner(nn.Module):
    """A model under an objective.

    Attributes:
        model: the causal language model, with or without adapters.
        objective: what is minimised.
        elements: logits per chunk of the vocabulary head.
    """

    def __init__(self, model: nn.Module, objective: Objective, *, elements: int = CHUNK_ELEMENTS) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.elements = elements

    def forward(
        self,
        batch: Batch,
        *,
        weights: Sequence[float],
        denominators: Sequence[float],
        reference: dict[str, ReferenceSignals],
    ) -> tuple[Tensor, list[float]]:
        """One micro-batch's share of the step's loss, and of each term's unweighted value."""
        head = head_of(self.model)
        hidden_ND = supervised_hidden(self.model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
        values = [torch.zeros((), device=hidden_ND.device) for _ in self.objective.terms]
        pieces = [
            piece
            for role in self.objective.roles
            if role in batch.roles
            for piece in self._pieces(role, batch, head, hidden_ND, weights, denominators, reference, values)
        ]
        loss = vocabulary_loss(hidden_ND, head, batch.targets_N, pieces, elements=self.elements)
        return loss, [float(v) for v in values]

    def _pieces(
        self,
        role: str,
        batch: Batch,
        head: Head,
        hidden_ND: Tensor,
        weights: Sequence[float],
        denominators: Sequence[float],
        reference: dict[str, ReferenceSignals],
        values: list[Tensor],
    ) -> list[Piece]:
        """The role's tokens, cut where the objective allows it."""
        span = batch.roles[role].tokens
        theirs = reference.get(role, ReferenceSignals())
        width = hidden_ND.shape[-1] if head.weight_VD is None else head.weight_VD.shape[0]
        limit = chunk_tokens(width, self.elements)
        ends = _cuts(batch.sequences_N[span], limit, self.objective.in_whole_sequences(role))
        reference_logits = theirs.logits

        def piece(start: int, stop: int) -> Piece:
            here = slice(span.start + start, span.start + stop)
            sequences_N, count = _renumbered(batch.sequences_N[here])

            def loss(statistics: dict[str, Tensor]) -> Tensor:
                signals = Signals(
                    statistics,
                    batch.weights_N[here],
                    sequences_N,
                    count,
                    {name: value[start:stop] for name, value in theirs.statistics.items()},
                )
                total, shares = self.objective.loss(role, signals, weights=weights, denominators=denominators)
                for index, share in shares.items():
                    values[index] = values[index] + share
                return total

            return Piece(
                here,
                self.objective.needs(role),
                loss,
                None
                if reference_logits is None
                else lambda s: reference_logits(slice(s.start - span.start, s.stop - span.start)),
            )

        return [piece(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]


def _renumbered(sequences_N: Tensor) -> tuple[Tensor, int]:
    unique, inverse = sequences_N.unique_consecutive(return_inverse=True)
    return inverse, len(unique)


def _cuts(sequences_N: Tensor, limit: int, whole: bool) -> list[int]:
    """Where pieces end: every `limit` tokens, or after as many whole sequences as fit (at least one)."""
    total = len(sequences_N)
    if not whole:
        return [*range(limit, total, limit), total]
    _, counts = sequences_N.unique_consecutive(return_counts=True)
    ends: list[int] = []
    position = begin = 0
    for count in counts.tolist():
        if position > begin and position + count - begin > limit:
            ends.append(position)
            begin = position
        position += count
    return [*ends, total]
