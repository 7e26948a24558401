"""The module that a training loop prepares: a batch in, the step's loss out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch, Positions, RoleSpan
from forgetting.core.signals import Signals
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.hidden_states import decoder_blocks, states_kept
from forgetting.models.vocabulary import CHUNK_ELEMENTS, Piece, chunk_tokens, vocabulary_loss
from forgetting.objectives.objective import Objective
from forgetting.training.states_loss import states_loss


@dataclass(frozen=True)
class ReferenceSignals:
    """The reference's outputs for one role's tokens in a batch: statistics `[N]`, and its logits by slice.

    `hidden` holds the outputs of decoder blocks by layer and positions, `[N, D]` (for "all": all the role's tokens).
    """

    statistics: dict[str, Tensor] = field(default_factory=dict)
    logits: Callable[[slice], Tensor] | None = None
    hidden: dict[tuple[int, Positions], Tensor] = field(default_factory=dict)


class Learner(nn.Module):
    """A model under an objective.

    Attributes:
        model: the causal language model, with or without adapters.
        objective: what is minimised.
        elements: logits per chunk of the vocabulary head.

    Raises:
        RecipeError: a term reads a layer that the model does not have.
        ModelError: a term reads hidden states and the decoder blocks of the model cannot be found.
    """

    def __init__(self, model: nn.Module, objective: Objective, *, elements: int = CHUNK_ELEMENTS) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.elements = elements
        decoder_blocks(model, objective.layers)

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
        with states_kept(self.model, self.objective.layers_of(batch.roles)) as states:
            hidden_ND = supervised_hidden(
                self.model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N, batch.position_ids_BT
            )
        limit = chunk_tokens(head.vocabulary(hidden_ND), self.elements)
        values = [torch.zeros((), device=hidden_ND.device) for _ in self.objective.terms]

        def piece(parts: tuple[_Part, ...]) -> Piece:
            def loss(statistics: dict[str, Tensor]) -> Tensor:
                total = torch.zeros((), device=hidden_ND.device)
                for role, signals in _signals(batch, parts, statistics, reference).items():
                    share, shares = self.objective.loss(role, signals, weights=weights, denominators=denominators)
                    total = total + share
                    for index, value in shares.items():
                        values[index] = values[index] + value
                return total

            needs = self.objective.needs(parts[0].role)
            return Piece(tuple(p.tokens for p in parts), needs, loss, _reference_logits(batch, parts, reference))

        pieces = [
            piece(parts)
            for group in self.objective.groups
            if any(role in batch.roles for role in group) and self.objective.needs(group[0])
            for parts in _cut(batch, group, limit, self.objective.in_whole_sequences(group[0]))
        ]
        losses = []
        if pieces:
            losses.append(vocabulary_loss(hidden_ND, head, batch.targets_N, pieces, elements=self.elements))
        if states:
            given = {role: signals.hidden for role, signals in reference.items()}
            loss, shares = states_loss(batch, self.objective, states, given, weights=weights, denominators=denominators)
            losses.append(loss)
            for index, value in shares.items():
                values[index] = values[index] + value
        return sum(losses[1:], losses[0]), [float(v) for v in values]


@dataclass(frozen=True, slots=True)
class _Part:
    """One role's part of a piece: a run of tokens, and the sequences they belong to."""

    role: str
    tokens: slice
    sequences: slice


def _cut(batch: Batch, group: tuple[str, ...], limit: int, whole: bool) -> Iterator[tuple[_Part, ...]]:
    """A role's tokens, or those of a role and its partner, in pieces that fit a chunk.

    If whole sequences are needed, a piece holds as many as fit, and at least one; pairs stay together.
    """
    spans = [batch.roles[role] for role in group]
    if not whole:
        (role,), (span,) = group, spans
        for start in range(span.tokens.start, span.tokens.stop, limit):
            yield (_Part(role, slice(start, min(start + limit, span.tokens.stop)), span.sequences),)
        return
    _check_pairs(batch, group)
    ends = [_ends(batch, span) for span in spans]
    count, start = len(ends[0]) - 1, 0
    while start < count:
        stop = start + 1
        while stop < count and sum(e[stop + 1] - e[start] for e in ends) <= limit:
            stop += 1
        yield tuple(
            _Part(role, slice(e[start], e[stop]), slice(span.sequences.start + start, span.sequences.start + stop))
            for role, span, e in zip(group, spans, ends, strict=True)
        )
        start = stop


def _check_pairs(batch: Batch, group: tuple[str, ...]) -> None:
    indices = {batch.indices_S[batch.roles[role].sequences] for role in group}
    assert len(indices) == 1, f"the examples of {group[0]} and its partner in a batch differ"


def _ends(batch: Batch, span: RoleSpan) -> list[int]:
    """The start of each of a role's sequences among the batch's tokens, and the end of the last one."""
    own_N = batch.sequences_N[span.tokens] - span.sequences.start
    counts = own_N.bincount(minlength=span.sequences.stop - span.sequences.start)
    return [span.tokens.start, *(counts.cumsum(0) + span.tokens.start).tolist()]


def _signals(
    batch: Batch,
    parts: tuple[_Part, ...],
    statistics: dict[str, Tensor],
    reference: dict[str, ReferenceSignals],
) -> dict[str, Signals]:
    """The signals of each role in a piece; the first role's have the second as their partner."""
    found: dict[str, Signals] = {}
    stop = sum(part.tokens.stop - part.tokens.start for part in parts)
    for part in reversed(parts):
        start = stop - (part.tokens.stop - part.tokens.start)
        begin = batch.roles[part.role].tokens.start
        within = slice(part.tokens.start - begin, part.tokens.stop - begin)
        theirs = reference.get(part.role, ReferenceSignals()).statistics
        found[part.role] = Signals(
            {name: value[start:stop] for name, value in statistics.items()},
            batch.weights_N[part.tokens],
            batch.sequences_N[part.tokens] - part.sequences.start,
            part.sequences.stop - part.sequences.start,
            {name: value[within] for name, value in theirs.items()},
            found.get(parts[-1].role),
            popularity_N=None if batch.popularity_N is None else batch.popularity_N[part.tokens],
        )
        stop = start
    return found


def _reference_logits(
    batch: Batch, parts: tuple[_Part, ...], reference: dict[str, ReferenceSignals]
) -> Callable[[slice], Tensor] | None:
    """The reference's logits by slice of the batch's tokens."""
    if all(part.role not in reference or reference[part.role].logits is None for part in parts):
        return None

    def logits(tokens: slice) -> Tensor:
        role = next(p.role for p in parts if p.tokens.start <= tokens.start < p.tokens.stop)
        theirs, begin = reference[role].logits, batch.roles[role].tokens.start
        assert theirs is not None, "both halves of a pair need the same signals"
        return theirs(slice(tokens.start - begin, tokens.stop - begin))

    return logits
