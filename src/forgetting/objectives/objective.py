"""The one objective: a weighted sum of terms, each a loss on the supervised tokens of one role.

    L(θ, step) = Σ_k  w_k(step) · mean_over(role_k) [ loss_k(signals) ]

Averages are over the whole optimiser step, never a mean of micro-batch means: the denominators are counted before the
first forward, so that the loss is a plain sum over tokens or sequences and may be computed in any pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
            sequences of their token sums (`sequence_sum`). A sequence loss is always averaged over sequences, each
            weighing as much as the mean |weight| of its tokens.
        sign: which tokens: those with positive data weight, or those with negative (their |weight| counts).
        partner: the role of the other half of each pair, for a loss of pairs: example i of both belong together.
        name: for the history and the report; defaults to the role.
    """

    role: str
    loss: Loss
    weight: Weight = 1.0
    average: Average = "token"
    sign: Literal["positive", "negative"] = "positive"
    partner: str | None = None
    name: str = ""

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

    @property
    def label(self) -> str:
        """The name under which its value is logged."""
        return self.name or self.role

    def mass(self, weights_N: Tensor) -> Tensor:
        """|weight| of the tokens this term counts, 0 for the others, `[N]`."""
        return (weights_N if self.sign == "positive" else -weights_N).clamp(min=0)

    def seen(self, signals: Signals) -> Signals:
        """What the term's loss sees of a role's signals: `mass` in place of the signed weights."""
        partner = None if signals.partner is None else self.seen(signals.partner)
        return replace(signals, weights_N=self.mass(signals.weights_N), partner=partner)

    def denominator(self, batches: Iterable[Batch]) -> float:
        """What the term's sum is divided by.

        Σ|weight| of its tokens; how many sequences have such a token; for a sequence loss, the sum of their weights.
        """
        total = 0.0
        for batch in batches:
            if self.role in batch.roles:
                tokens = batch.roles[self.role].tokens
                mass_N = self.mass(batch.weights_N[tokens])
                if self.average == "token":
                    total += float(mass_N.sum(dtype=torch.float64))
                    continue
                sequences, own_N = batch.sequences_N[tokens].unique(return_inverse=True)
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
    """The weight of each sequence, `[S]`: the mean over its counted tokens, 0 where it has none."""
    counted_S = seen.sum_by_sequence((seen.weights_N > 0).to(seen.weights_N.dtype))
    return seen.sum_by_sequence(seen.weights_N) / counted_S.clamp(min=1)


class Objective:
    """A weighted sum of terms."""

    def __init__(self, *terms: Term) -> None:
        if not terms:
            raise RecipeError("an objective needs at least one term")
        self.terms = terms
        self.partners = _partners(terms)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The roles it reads, in order of first use; a role with a partner and that partner are one group."""
        partners = self.partners
        roles = dict.fromkeys(t.role for t in self.terms if t.role not in partners.values())
        return tuple((role, partners[role]) if role in partners else (role,) for role in roles)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it reads, in order of first use, each followed by its partner."""
        return tuple(role for group in self.groups for role in group)

    @property
    def needs_reference(self) -> bool:
        """Whether any term consults the reference."""
        return any(term.loss.needs_reference for term in self.terms)

    def of_role(self, role: str) -> list[int]:
        """Indices of the terms on `role`."""
        return [i for i, term in enumerate(self.terms) if term.role == role]

    def _beside(self, role: str) -> list[Term]:
        """The terms on `role` and on the other half of its pairs: what is asked of one half is asked of both."""
        group = next((g for g in self.groups if role in g), ())
        return [term for term in self.terms if term.role in group]

    def needs(self, role: str) -> tuple[Statistic, ...]:
        """The statistics of the model that the terms on `role` see, once each."""
        return tuple(dict.fromkeys(s for term in self._beside(role) for s in term.loss.needs))

    def of_reference(self, role: str) -> tuple[Statistic, ...]:
        """The statistics of the reference that the terms on `role` see, once each."""
        return tuple(dict.fromkeys(s for term in self._beside(role) for s in term.loss.of_reference))

    def compares(self, role: str) -> bool:
        """Whether a term on `role` compares whole distributions with the reference's."""
        return any(s.against_reference for s in self.needs(role))

    def in_whole_sequences(self, role: str) -> bool:
        """Whether the terms on `role` can only be computed on whole sequences."""
        return any(term.average != "token" for term in self._beside(role))

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
            seen = term.seen(signals)
            coefficients, losses = term.coefficients(seen, denominators[i]), term.loss.compute(seen)
            if losses.shape != coefficients.shape:
                raise RecipeError(
                    f"the loss '{term.loss.name}' gives the shape {list(losses.shape)}; it must give one value for "
                    f"each {term.loss.per} ({list(coefficients.shape)}), which are averaged for it"
                )
            share = (coefficients * losses).sum()
            shares[i] = share.detach()
            if weights[i] != 0:
                total = total + weights[i] * share
        return total, shares


def _partners(terms: Sequence[Term]) -> dict[str, str]:
    """The partner of each role that has one.

    Raises:
        RecipeError: a role would stand in two pairs.
    """
    pairs = list({(term.role, term.partner): None for term in terms if term.partner is not None})
    paired = [role for pair in pairs for role in pair]
    twice = next((role for role in paired if paired.count(role) > 1), None)
    if twice is not None:
        raise RecipeError(f"the role '{twice}' is paired twice; a role can stand in pairs with one other role only")
    return dict(pairs)
