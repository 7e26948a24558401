"""The inputs of an objective's term from model and reference: statistics or hidden states of one role."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Signals:
    """Statistics of the supervised tokens of one role, in whole sequences if a sequence-level loss needs them.

    Letters: N tokens, S sequences, D hidden size. `statistics` holds those that the terms declared, each `[N]`,
    fp32, differentiable: see `forgetting.objectives.statistics` for the names. `reference` holds the same of the
    reference model, without gradient.

    A term over hidden states gets no statistics. It gets `hidden`: by layer, the output of that decoder block at the
    term's N positions, `[N, D]`, fp32, differentiable; and `hidden_of_reference`, the reference's, without gradient.

    A term's loss gets |weight| of the tokens that the term counts, and 0 for the others. If a term compares pairs,
    `partner` holds the same of the other role: its sequence s belongs to sequence s here.
    """

    statistics: dict[str, Tensor]
    weights_N: Tensor
    sequences_N: Tensor
    num_sequences: int
    reference: dict[str, Tensor] = field(default_factory=dict)
    partner: Signals | None = None
    hidden: dict[int, Tensor] = field(default_factory=dict)
    hidden_of_reference: dict[int, Tensor] = field(default_factory=dict)
    popularity_N: Tensor | None = None
    """The popularity of each token's example, NaN where it is unknown; None: no example has one."""

    @property
    def logp(self) -> Tensor:
        """log p(target), `[N]`, nats."""
        return self.statistics["logp"]

    @property
    def paired(self) -> Signals:
        """The partner's signals; it is a programming error if there is none."""
        assert self.partner is not None, "a loss over pairs was called with one role only"
        return self.partner

    def sum_by_sequence(self, values_N: Tensor) -> Tensor:
        """Sums over the tokens of each sequence, `[S]`."""
        return torch.zeros(self.num_sequences, dtype=values_N.dtype, device=values_N.device).index_add(
            0, self.sequences_N, values_N
        )
