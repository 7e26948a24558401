"""What the model is given: rows of tokens, and flat supervised positions.

No code downstream sees a shift, a mask or a -100.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RoleSpan:
    """Where one role stands inside a batch: its rows, supervised tokens and sequences are contiguous.

    No row holds two roles, so a role can be forwarded alone.
    """

    tokens: slice
    sequences: slice
    rows: slice


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of token ids of one or more roles, and the supervised positions among them.

    Letters: B rows, T row length, N supervised tokens of all rows, S sequences. A sequence is one example; several
    of a role may share a row (packing), told apart by `segment_ids_BT`. Supervised tokens stand by role and sequence
    whatever the rows.
    """

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    segment_ids_BT: Tensor
    """Index of the sequence that a token belongs to, -1 on padding."""
    sources_N: Tensor
    """Flat index into B*T of the position whose hidden state predicts the target."""
    targets_N: Tensor
    weights_N: Tensor
    """Signed data weight of each supervised token (fp32): negative = to be forgotten. Never 0."""
    sequences_N: Tensor
    """Index in 0..S-1 of the sequence of each supervised token; non-decreasing."""
    keys_S: tuple[str, ...]
    """Example id of each sequence."""
    indices_S: tuple[int, ...]
    """Index of each sequence within its role's data set."""
    roles: dict[str, RoleSpan]
    position_ids_BT: Tensor | None = None
    """Of packed rows, each token's position in its own sequence (0 on padding); None: one sequence per row."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        names = [n for n in self.__dataclass_fields__ if n.rsplit("_", 1)[-1] in {"BT", "N"}]
        return replace(self, **{n: getattr(self, n).to(device) for n in names if getattr(self, n) is not None})
