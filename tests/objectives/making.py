"""Random logits, targets and ragged sequences, and the package's way from them to a loss."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from forgetting.core.batch import Batch, RoleSpan
from forgetting.core.signals import Signals
from forgetting.objectives.objective import Objective
from forgetting.objectives.statistics import statistics_of


@dataclass(frozen=True)
class Table:
    """Logits of the supervised tokens of one role, with all that a term may see."""

    logits_NV: Tensor
    reference_NV: Tensor
    targets_N: Tensor
    weights: list[float]
    sequences: list[int]
    states_ND: Tensor | None = None
    """Output of a decoder block at the supervised positions, of the model and of the reference."""
    reference_states_ND: Tensor | None = None


def table(
    *, seed: int = 0, lengths: tuple[int, ...] = (4, 1, 7, 2), vocab: int = 13, sharp: float = 3.0, signed: bool = False
) -> Table:
    """Ragged sequences; `sharp` spreads the logits until some positions are nearly certain."""
    generator = torch.Generator().manual_seed(seed)
    n = sum(lengths)
    logits, reference = (sharp * torch.randn(n, vocab, generator=generator, dtype=torch.float64) for _ in range(2))
    weights = [1.0] * n
    if signed:
        drawn = torch.rand(n, generator=generator) * 2 + 0.1
        signs = torch.where(torch.rand(n, generator=generator) < 0.4, -1.0, 1.0)
        weights = (drawn * signs).tolist()
    return Table(
        logits,
        reference,
        torch.randint(0, vocab, (n,), generator=generator),
        weights,
        [s for s, length in enumerate(lengths) for _ in range(length)],
    )


def batch_of(roles: dict[str, Table]) -> Batch:
    """What the denominators are counted on: weights and sequences of each role, one after the other."""
    spans, weights, sequences, token, sequence = {}, [], [], 0, 0
    for role, t in roles.items():
        count = max(t.sequences) + 1
        spans[role] = RoleSpan(
            slice(token, token + len(t.weights)), slice(sequence, sequence + count), slice(sequence, sequence + count)
        )
        weights += t.weights
        sequences += [sequence + s for s in t.sequences]
        token, sequence = token + len(t.weights), sequence + count
    empty = torch.zeros(1, 1, dtype=torch.long)
    targets = torch.cat([t.targets_N for t in roles.values()])
    ids = tuple(map(str, range(sequence)))
    weights_N, sequences_N = torch.tensor(weights), torch.tensor(sequences)
    return Batch(
        empty, empty, empty, torch.arange(token), targets, weights_N, sequences_N, ids, tuple(range(sequence)), spans
    )


def signals_of(objective: Objective, role: str, t: Table) -> Signals:
    """The statistics that the objective asks of `role`, from whole logits in their own precision."""
    reference_NV = t.reference_NV.to(t.logits_NV.dtype)
    found = statistics_of(t.logits_NV, t.targets_N, objective.needs(role), reference_NV)
    reference = statistics_of(reference_NV, t.targets_N, objective.of_reference(role))
    weights_N = torch.tensor(t.weights, dtype=t.logits_NV.dtype)
    return Signals(found, weights_N, torch.tensor(t.sequences), max(t.sequences) + 1, reference)


def loss_of(objective: Objective, roles: dict[str, Table], *, step: int = 0, total: int = 1) -> Tensor:
    """The step's loss of all roles together."""
    weights, denominators = objective.weights(step, total), objective.denominators([batch_of(roles)])
    signals = {role: signals_of(objective, role, t) for role, t in roles.items()}
    for role, partner in objective.partners.items():
        signals[role] = replace(signals[role], partner=signals[partner])
    shares = [objective.loss(role, s, weights=weights, denominators=denominators)[0] for role, s in signals.items()]
    return torch.stack(shares).sum()


def with_gradient(t: Table, dtype: torch.dtype = torch.float64) -> Table:
    """The same table with logits to differentiate."""
    logits_NV = t.logits_NV.detach().clone().to(dtype).requires_grad_()
    return Table(logits_NV, t.reference_NV, t.targets_N, t.weights, t.sequences)


def relative(actual: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the largest expected value."""
    return float((actual.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-300))
