"""The objective: a weighted sum of terms, each a loss on the supervised tokens of one role.

    L(θ, step) = Σ_k  w_k(step) · mean_over(role_k) [ loss_k(signals) ]

Averages are over the whole optimiser step, never a mean of micro-batch means: the denominators are counted before the
first forward, so the loss is a plain sum over tokens or sequences and can be computed in any pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from forgetting.core.batch import Batch, Positions
from forgetting.core.errors import RecipeError
from forgetting.core.signals import Signals
from forgetting.objectives.gradient_rules.rule import GradientRule, Sum
from forgetting.objectives.schedule import weight_at
from forgetting.objectives.statistics import Statistic
from forgetting.objectives.term import Average, Term

__all__ = ["Average", "Objective", "Term"]


class Objective:
    """A weighted sum of terms.

    Args:
        terms: the terms of the sum.
        gradients: how the gradients of its groups of roles are combined; default: their sum.

    A term's state and the rule's belong to one stage: build a new objective for each.
    """

    def __init__(self, *terms: Term, gradients: GradientRule | None = None) -> None:
        if not terms:
            raise RecipeError("an objective needs at least one term")
        self.terms = terms
        self.partners = _partners(terms)
        self._beginning = self.state()
        self.gradients: GradientRule = Sum() if gradients is None else gradients
        self.parts = self.gradients.parts(self.groups)

    def with_gradients(self, rule: GradientRule) -> Objective:
        """A copy with another gradient rule."""
        return Objective(*self.terms, gradients=rule)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The roles it reads, in order of first use; a role and its partner form one group."""
        partners = self.partners
        roles = dict.fromkeys(t.role for t in self.terms if t.role not in partners.values())
        return tuple((role, partners[role]) if role in partners else (role,) for role in roles)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it reads, in order of first use, each followed by its partner."""
        return tuple(role for group in self.groups for role in group)

    @property
    def needs_reference(self) -> bool:
        """Whether any term uses the reference."""
        return any(term.loss.needs_reference for term in self.terms)

    @property
    def labels(self) -> tuple[str, ...]:
        """The terms' labels; equal labels are distinguished by the names of their losses."""
        own = [term.label for term in self.terms]
        return tuple(
            label if own.count(label) == 1 else f"{label} {term.loss.name}"
            for label, term in zip(own, self.terms, strict=True)
        )

    def of_role(self, role: str) -> list[int]:
        """Indices of the terms on `role`."""
        return [i for i, term in enumerate(self.terms) if term.role == role]

    def _beside(self, role: str) -> list[Term]:
        """The terms on `role` and on the other half of its pairs, since both halves need the same signals."""
        group = next((g for g in self.groups if role in g), ())
        return [term for term in self.terms if term.role in group]

    def states(self, role: str, *, of_reference: bool = False) -> tuple[tuple[int, Positions], ...]:
        """The hidden states, by layer and positions, that the terms on `role` read: the model's or the reference's."""
        return tuple(
            dict.fromkeys(
                (layer, term.positions)
                for term in self._beside(role)
                for layer in (term.loss.layers_of_reference if of_reference else term.loss.layers)
            )
        )

    @property
    def layers(self) -> tuple[int, ...]:
        """The decoder blocks that any term reads, of the model or the reference, in order."""
        return tuple(sorted({n for t in self.terms for n in (*t.loss.layers, *t.loss.layers_of_reference)}))

    def layers_of(self, roles: Iterable[str]) -> tuple[int, ...]:
        """The decoder blocks of the model that the terms on these roles read, in order."""
        return tuple(sorted({n for role in roles for n, _ in self.states(role)}))

    def needs(self, role: str) -> tuple[Statistic, ...]:
        """The distinct statistics of the model that the terms on `role` read."""
        return tuple(dict.fromkeys(s for term in self._beside(role) for s in term.loss.needs))

    def of_reference(self, role: str) -> tuple[Statistic, ...]:
        """The distinct statistics of the reference that the terms on `role` read."""
        return tuple(dict.fromkeys(s for term in self._beside(role) for s in term.loss.of_reference))

    def compares(self, role: str) -> bool:
        """Whether a term on `role` compares whole distributions with the reference's."""
        return any(s.against_reference for s in self.needs(role))

    def in_whole_sequences(self, role: str) -> bool:
        """Whether the terms on `role` need whole sequences."""
        return any(term.average != "token" for term in self._beside(role) if not term.loss.over_hidden_states)

    def denominators(self, batches: Sequence[Batch]) -> tuple[float, ...]:
        """The divisor of each term, over all micro-batches of one optimiser step."""
        return tuple(term.denominator(batches) for term in self.terms)

    def weights(self, step: int, total: int) -> tuple[float, ...]:
        """The weight of each term, at `step` of `total`."""
        return tuple(weight_at(term.weight, step, total) for term in self.terms)

    def loss(
        self, role: str, signals: Signals, *, weights: Sequence[float], denominators: Sequence[float]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """These tokens' contribution to the step's loss, and the unweighted share of each term by its index (detached).

        Terms over hidden states are left out; see `share`.
        """
        total = signals.weights_N.new_zeros(())
        shares: dict[int, Tensor] = {}
        for i in self.of_role(role):
            if self.terms[i].loss.over_hidden_states:
                continue
            share = self.share(i, signals, denominators[i])
            shares[i] = share.detach()
            if weights[i] != 0:
                total = total + weights[i] * share
        return total, shares

    def share(self, index: int, signals: Signals, denominator: float) -> Tensor:
        """These tokens' unweighted share of one term, a scalar.

        Raises:
            RecipeError: its loss does not give one value for each token, or for each sequence.
        """
        term = self.terms[index]
        seen = term.seen(signals)
        coefficients, losses = term.coefficients(seen, denominator), term.loss.compute(seen)
        if losses.shape != coefficients.shape:
            raise RecipeError(
                f"the loss '{term.loss.name}' gives the shape {list(losses.shape)}; it must give one value for "
                f"each {term.loss.per} ({list(coefficients.shape)}), which are averaged for it"
            )
        return (coefficients * losses).sum()

    def update(self, values: Sequence[float], step: int, total: int) -> None:
        """Updates the terms' states once per optimiser step.

        Args:
            values: each term's unweighted value in the step, over all of its micro-batches and processes.
            step: the step that was taken, from 0.
            total: steps of the stage.
        """
        named = dict(zip(self.labels, values, strict=True))
        for term in self.terms:
            if term.state is not None:
                term.state.update(named, step, total)

    def state(self) -> list[dict[str, float] | None]:
        """The terms' states, one per term, for the checkpoint."""
        return [None if term.state is None else dict(term.state.state_dict()) for term in self.terms]

    def load_state(self, state: Sequence[Mapping[str, float] | None]) -> None:
        """Loads the output of `state`."""
        for term, saved in zip(self.terms, state, strict=True):
            if term.state is not None and saved is not None:
                term.state.load_state_dict(saved)

    def start_anew(self) -> None:
        """Resets every state to its initial value."""
        self.load_state(self._beginning)
        self.gradients.load_state_dict({})


def _partners(terms: Sequence[Term]) -> dict[str, str]:
    """The partner of each role that has one.

    Raises:
        RecipeError: a role has two partners.
    """
    pairs = list({(term.role, term.partner): None for term in terms if term.partner is not None})
    paired = [role for pair in pairs for role in pair]
    twice = next((role for role in paired if paired.count(role) > 1), None)
    if twice is not None:
        raise RecipeError(f"the role '{twice}' is paired twice; a role can be paired with one other role only")
    return dict(pairs)
