"""The reference: the model before the stage. No second model is kept.

With an adapter it is the same weights with the adapters that were active before. With full tuning its outputs are
computed once and stored (`stored_reference`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.models.adapters import adapters_active
from forgetting.models.head import Head, head_of, supervised_hidden
from forgetting.models.hidden_states import states_kept
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.vocabulary import statistics
from forgetting.objectives.objective import Objective
from forgetting.training.learner import ReferenceSignals


class Reference(Protocol):
    """Provides an objective's inputs from the reference, for the tokens of one micro-batch."""

    def __call__(self, batch: Batch) -> dict[str, ReferenceSignals]:
        """Returns them by role; roles that need nothing are absent."""
        ...


def no_reference(batch: Batch) -> dict[str, ReferenceSignals]:
    """The reference of an objective that uses none."""
    return {}


def asking_roles(objective: Objective) -> list[str]:
    """The roles for which the objective uses the reference."""
    return [
        r
        for r in objective.roles
        if objective.of_reference(r) or objective.compares(r) or objective.states(r, of_reference=True)
    ]


class LiveReference:
    """The model's own weights with the adapters that were active before the stage, forwarded without gradient."""

    def __init__(self, model: nn.Module, objective: Objective, adapters: Sequence[str] = ()) -> None:
        self.model = model
        self.objective = objective
        self.adapters = tuple(adapters)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> dict[str, ReferenceSignals]:
        """Forwards only the rows of the roles that need it."""
        with in_evaluation_mode(self.model), adapters_active(self.model, self.adapters):
            return {role: self._of_role(batch, role) for role in asking_roles(self.objective) if role in batch.roles}

    def _of_role(self, batch: Batch, role: str) -> ReferenceSignals:
        span, width = batch.roles[role], batch.input_ids_BT.shape[1]
        head = head_of(self.model)
        sources_N = batch.sources_N[span.tokens] - span.rows.start * width
        ids_BT, mask_BT = batch.input_ids_BT[span.rows], batch.attention_mask_BT[span.rows]
        positions_BT = None if batch.position_ids_BT is None else batch.position_ids_BT[span.rows]
        asked = self.objective.states(role, of_reference=True)
        with states_kept(self.model, [layer for layer, _ in asked]) as states:
            hidden_ND = supervised_hidden(self.model, head, ids_BT, mask_BT, sources_N, positions_BT)
        wanted = self.objective.of_reference(role)
        stats = statistics(hidden_ND, head, batch.targets_N[span.tokens], wanted) if wanted else {}
        logits = logits_by_slice(head, hidden_ND) if self.objective.compares(role) else None
        begin = span.rows.start * width
        hidden = {(n, at): states[n].index_select(0, batch.places(role, at)[0] - begin) for n, at in asked}
        return ReferenceSignals(stats, logits, hidden)


def logits_by_slice(head: Head, hidden_ND: Tensor) -> Callable[[slice], Tensor]:
    """The head on some of the tokens, evaluated on demand."""
    return lambda tokens: head.logits(hidden_ND[tokens])
