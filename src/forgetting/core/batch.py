"""The model's input: rows of tokens, and flat supervised positions.

No code downstream sees a shift, a mask or a -100.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Positions = Literal["supervised", "all"]
"""Where hidden states are read: where a supervised token is predicted, or at every token of a sequence."""


@dataclass(frozen=True, slots=True)
class RoleSpan:
    """The place of one role in a batch: its rows, supervised tokens and sequences are contiguous.

    No row holds two roles, so a role can be forwarded alone.
    """

    tokens: slice
    sequences: slice
    rows: slice


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of token ids of one or more roles, and their supervised positions.

    Letters: B rows, T row length, N supervised tokens of all rows, S sequences. A sequence is one example; several
    of a role may share a row (packing); `segment_ids_BT` distinguishes them. Supervised tokens are ordered by role and
    sequence, independently of the rows.
    """

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    segment_ids_BT: Tensor
    """Index of the sequence that a token belongs to, -1 on padding."""
    sources_N: Tensor
    """Flat index into B*T of the position whose hidden state predicts the target."""
    targets_N: Tensor
    weights_N: Tensor
    """Signed data weight of each supervised token (fp32): negative = forget. Never 0."""
    sequences_N: Tensor
    """Index in 0..S-1 of the sequence of each supervised token; non-decreasing."""
    keys_S: tuple[str, ...]
    """Example id of each sequence."""
    indices_S: tuple[int, ...]
    """Index of each sequence within its role's data set."""
    roles: dict[str, RoleSpan]
    position_ids_BT: Tensor | None = None
    """For packed rows, each token's position in its own sequence (0 on padding); None: one sequence per row."""
    popularity_N: Tensor | None = None
    """The popularity of each supervised token's example (fp32; NaN: unknown); None: no example has one."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        names = [n for n in self.__dataclass_fields__ if n.rsplit("_", 1)[-1] in {"BT", "N"}]
        return replace(self, **{n: getattr(self, n).to(device) for n in names if getattr(self, n) is not None})

    def places(self, role: str, positions: Positions) -> tuple[Tensor, Tensor]:
        """Where a role's hidden states are read, sequence by sequence.

        Returns:
            Flat indices into B*T, and the index of each one's sequence within the role, both `[N]`. "all" includes
            every token, also the prompt and the last one, but no padding.
        """
        span = self.roles[role]
        if positions == "supervised":
            return self.sources_N[span.tokens], self.sequences_N[span.tokens] - span.sequences.start
        segments = self.segment_ids_BT[span.rows].flatten()
        flat_N = (segments >= 0).nonzero().squeeze(1)
        flat_N = flat_N[segments[flat_N].argsort(stable=True)]  # packed rows hold the sequences in another order
        begin = span.rows.start * self.segment_ids_BT.shape[1]
        return flat_N + begin, segments[flat_N] - span.sequences.start
