"""The one objective: a weighted sum of terms, each a loss on the supervised tokens of one role.

    L(θ, step) = Σ_k  w_k(step) · mean_over(role_k) [ loss_k(signals) ]

Averages are over the whole optimiser step, never a mean of micro-batch means: the denominators are counted before the
first forward, so that the loss is a plain sum over tokens or sequences and may be computed in any pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from forgetting.core.batch import Batch
from forgetting.core.errors import RecipeError, nearest
from forgetting.core.signals import Signals
from forgetting.objectives.losses import Loss
from forgetting.objectives.schedule import Weight, weight_at
from forgetting.objectives.statistics import Statistic

Average = Literal["token", "sequence", "sequence_sum"]


@dataclass(frozen=True)
class Term:
    """One loss on one role.

    Attributes:
        role: whose tokens.
        loss: per token or per sequence.
        weight: a number or a schedule; negative for ascent.
        average: over all tokens of the step (`token`), over sequences of their token means (`sequence`), or over
            sequences of their token sums (`sequence_sum`). A sequence loss is always averaged over sequences.
        sign: which tokens: those with positive data weight, or those with negative (their |weight| counts).
        name: for the history and the report; defaults to the role.
    """

    role: str
    loss: Loss
    weight: Weight = 1.0
    average: Average = "token"
    sign: Literal["positive", "negative"] = "positive"
    name: str = ""

    def __post_init__(self) -> None:
        if self.average not in get_args(Average):
            hint = nearest(str(self.average), get_args(Average))
            raise RecipeError(f"term '{self.label}': unknown average '{self.average}'; {hint}")
        if self.loss.per == "sequence" and self.average != "sequence":
            raise RecipeError(
                f"term '{self.label}': the loss '{self.loss.name}' is averaged over sequences; write average='sequence'"
            )

    @property
    def label(self) -> str:
        """The name under which its value is logged."""
        return self.name or self.role

    def mass(self, weights_N: Tensor) -> Tensor:
        """|weight| of the tokens this term counts, 0 for the others, `[N]`."""
        return (weights_N if self.sign == "positive" else -weights_N).clamp(min=0)

    def denominator(self, batches: Iterable[Batch]) -> float:
        """What the term's sum is divided by: Σ|weight| of its tokens, or how many sequences have such a token."""
        total = 0.0
        for batch in batches:
            if self.role in batch.roles:
                tokens = batch.roles[self.role].tokens
                mass_N = self.mass(batch.weights_N[tokens])
                if self.average == "token":
                    total += float(mass_N.sum(dtype=torch.float64))
                else:
                    total += len(batch.sequences_N[tokens][mass_N > 0].unique())
        return total

    def coefficients(self, signals: Signals, denominator: float) -> Tensor:
        """The factor of each of the term's values in the sum: `[N]`, or `[S]` for a sequence loss.

        `signals` must hold whole sequences unless `average` is "token".
        """
        mass_N = self.mass(signals.weights_N)
        if self.loss.per == "sequence":
            return (signals.sum_by_sequence(mass_N) > 0).to(mass_N.dtype) / max(denominator, 1.0)
        if denominator == 0:
            return torch.zeros_like(mass_N)
        if self.average == "sequence":
            mass_N = mass_N / signals.sum_by_sequence(mass_N).clamp(min=1e-30)[signals.sequences_N]
        return mass_N / denominator


class Objective:
    """A weighted sum of terms."""

    def __init__(self, *terms: Term) -> None:
        if not terms:
            raise RecipeError("an objective needs at least one term")
        self.terms = terms

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it reads, in order of first use."""
        return tuple(dict.fromkeys(term.role for term in self.terms))

    @property
    def needs_reference(self) -> bool:
        """Whether any term consults the reference."""
        return any(term.loss.needs_reference for term in self.terms)

    def of_role(self, role: str) -> list[int]:
        """Indices of the terms on `role`."""
        return [i for i, term in enumerate(self.terms) if term.role == role]

    def needs(self, role: str) -> tuple[Statistic, ...]:
        """The statistics of the model that the terms on `role` see, once each."""
        return tuple(dict.fromkeys(s for i in self.of_role(role) for s in self.terms[i].loss.needs))

    def of_reference(self, role: str) -> tuple[Statistic, ...]:
        """The statistics of the reference that the terms on `role` see, once each."""
        return tuple(dict.fromkeys(s for i in self.of_role(role) for s in self.terms[i].loss.of_reference))

    def compares(self, role: str) -> bool:
        """Whether a term on `role` compares whole distributions with the reference's."""
        return any(s.against_reference for s in self.needs(role))

    def in_whole_sequences(self, role: str) -> bool:
        """Whether the terms on `role` can only be computed on whole sequences."""
        return any(self.terms[i].average != "token" for i in self.of_role(role))

    def denominators(self, batches: Sequence[Batch]) -> tuple[float, ...]:
        """One per term, over all micro-batches of one optimiser step."""
        return tuple(term.denominator(batches) for term in self.terms)

    def weights(self, step: int, total: int) -> tuple[float, ...]:
        """One per term, at `step` of `total`."""
        return tuple(weight_at(term.weight, step, total) for term in self.terms)

    def loss(
        self, role: str, signals: Signals, *, weights: Sequence[float], denominators: Sequence[float]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """What these tokens add to the step's loss, and the unweighted share of each term by its index (detached)."""
        total = signals.weights_N.new_zeros(())
        shares: dict[int, Tensor] = {}
        for i in self.of_role(role):
            term = self.terms[i]
            share = (term.coefficients(signals, denominators[i]) * term.loss.compute(signals)).sum()
            shares[i] = share.detach()
            if weights[i] != 0:
                total = total + weights[i] * share
        return total, shares
