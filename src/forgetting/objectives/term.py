"""A term of an objective: one loss on the supervised tokens of one role, weighted and averaged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from forgetting.core.batch import Batch, Positions
from forgetting.core.errors import RecipeError, nearest
from forgetting.core.signals import Signals
from forgetting.objectives.losses import Loss
from forgetting.objectives.schedule import Weight
from forgetting.objectives.term_state import TermState

Average = Literal["token", "sequence", "sequence_sum"]


@dataclass(frozen=True)
class Term:
    """One loss on one role.

    Attributes:
        role: the role of its tokens.
        loss: per token or per sequence.
        weight: a number or a schedule; negative for ascent.
        average: over all tokens of the step (`token`), over sequences of their token means (`sequence`), or over
            sequences of their token sums (`sequence_sum`). A sequence loss is always averaged over sequences, each
            weighing as much as the mean |weight| of its tokens.
        sign: which tokens: those with positive data weight, or those with negative (|weight| is used).
        partner: the role of the other half of each pair, for a loss over pairs; examples i of both form a pair.
        name: for the history and the report; defaults to the role.
        positions: where a loss over hidden states reads them. With "all" tokens of a sequence, each has the mean
            |weight| of the tokens that the term counts there.
        state: the term's state between steps, such as a dual variable that is its weight.
    """

    role: str
    loss: Loss
    weight: Weight = 1.0
    average: Average = "token"
    sign: Literal["positive", "negative"] = "positive"
    partner: str | None = None
    name: str = ""
    positions: Positions = "supervised"
    state: TermState | None = None

    def __post_init__(self) -> None:
        if self.average not in get_args(Average):
            hint = nearest(str(self.average), get_args(Average))
            raise RecipeError(f"term '{self.label}': unknown average '{self.average}'; {hint}")
        if self.loss.per == "sequence" and self.average != "sequence":
            raise RecipeError(
                f"term '{self.label}': the loss '{self.loss.name}' is averaged over sequences; write average='sequence'"
            )
        if self.loss.of_pairs and self.partner in (None, self.role):
            raise RecipeError(
                f"term '{self.label}': the loss '{self.loss.name}' compares pairs; write partner= with the other role"
            )
        if self.positions not in get_args(Positions):
            hint = nearest(str(self.positions), get_args(Positions))
            raise RecipeError(f"term '{self.label}': unknown positions '{self.positions}'; {hint}")
        if self.positions == "all" and not self.loss.over_hidden_states:
            raise RecipeError(
                f"term '{self.label}': the loss '{self.loss.name}' uses supervised tokens only; write "
                "positions='supervised'"
            )

    @property
    def label(self) -> str:
        """The name under which its value is logged."""
        return self.name or self.role

    def mass(self, weights_N: Tensor) -> Tensor:
        """|weight| of the tokens this term counts, 0 for the others, `[N]`."""
        return (weights_N if self.sign == "positive" else -weights_N).clamp(min=0)

    def weights_of(self, batch: Batch, role: str) -> tuple[Tensor, Tensor]:
        """The signed weights of a role's positions in a batch, and the index of each one's sequence, both `[N]`."""
        span = batch.roles[role]
        weights_N, sequences_N = batch.weights_N[span.tokens], batch.sequences_N[span.tokens] - span.sequences.start
        if self.positions == "supervised":
            return weights_N, sequences_N
        count = span.sequences.stop - span.sequences.start
        mean_S = _mean_mass(Signals({}, self.mass(weights_N), sequences_N, count))
        _, every_N = batch.places(role, "all")
        return (mean_S if self.sign == "positive" else -mean_S)[every_N], every_N

    def seen(self, signals: Signals) -> Signals:
        """A role's signals as the term's loss gets them: with `mass` in place of the signed weights."""
        partner = None if signals.partner is None else self.seen(signals.partner)
        return replace(signals, weights_N=self.mass(signals.weights_N), partner=partner)

    def denominator(self, batches: Iterable[Batch]) -> float:
        """The divisor of the term's sum.

        Σ|weight| of its tokens; the number of sequences with such a token; for a sequence loss, the sum of their
        weights.
        """
        total = 0.0
        for batch in batches:
            if self.role in batch.roles:
                weights_N, sequences_N = self.weights_of(batch, self.role)
                mass_N = self.mass(weights_N)
                if self.average == "token":
                    total += float(mass_N.sum(dtype=torch.float64))
                    continue
                sequences, own_N = sequences_N.unique(return_inverse=True)
                weight_S = _mean_mass(Signals({}, mass_N, own_N, len(sequences)))
                if self.loss.per == "sequence":
                    total += float(weight_S.sum(dtype=torch.float64))
                else:
                    total += int((weight_S > 0).sum())
        return total

    def coefficients(self, seen: Signals, denominator: float) -> Tensor:
        """The factor of each of the term's values in the sum: `[N]`, or `[S]` for a sequence loss.

        `seen` must hold whole sequences unless `average` is "token".
        """
        mass = _mean_mass(seen) if self.loss.per == "sequence" else seen.weights_N
        if denominator == 0:
            return torch.zeros_like(mass)
        if self.average == "sequence" and self.loss.per == "token":
            mass = mass / seen.sum_by_sequence(mass).clamp(min=1e-30)[seen.sequences_N]
        return mass / denominator


def _mean_mass(seen: Signals) -> Tensor:
    """The weight of each sequence, `[S]`: the mean over its counted tokens, 0 if it has none."""
    counted_S = seen.sum_by_sequence((seen.weights_N > 0).to(seen.weights_N.dtype))
    return seen.sum_by_sequence(seen.weights_N) / counted_S.clamp(min=1)
