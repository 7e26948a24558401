"""A model and the stored predictions of a stage's reference → how far the model is from it, split by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from forgetting.core.measure import Measure
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.evaluation.rows import BATCH_TOKENS, ENOUGH_TOKENS, by_length
from forgetting.metrics.to_reference import Beside, to_reference
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.vocabulary import statistics
from forgetting.objectives.losses import Loss
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.statistics import KL_FROM_REFERENCE, LOGP
from forgetting.training.reference import Reference


def compared(splits: Sequence[str]) -> Objective:
    """What is asked of the reference, as an objective whose roles are the splits: whole distributions, and log p."""
    loss = Loss("distance", lambda s: s.statistics[KL_FROM_REFERENCE.name], (KL_FROM_REFERENCE,), of_reference=(LOGP,))
    return Objective(*(Term(split, loss) for split in splits))


@dataclass(frozen=True)
class ToReference:
    """Measures how far a model is from a reference."""

    rows: Mapping[str, Sequence[Encoded]]
    """By split, its encoded examples, in the order in which `reference` knows them; `key` is the example's id."""
    clusters: Mapping[str, Mapping[str, str]]
    """By split and example, the cluster of its interval."""
    reference: Reference
    """Of the objective `compared(splits)`."""
    pad_id: int

    @torch.no_grad()
    def __call__(self, model: nn.Module, ids: Mapping[str, frozenset[str]]) -> list[Measure]:
        """The measures of `to_reference` of every split.

        Args:
            model: in evaluation mode meanwhile; no random number is drawn.
            ids: by split, which of its examples are measured.
        """
        with in_evaluation_mode(model):
            return [m for split in self.rows for m in to_reference(split, self._beside(model, split, ids[split]))]

    def _beside(self, model: nn.Module, split: str, ids: frozenset[str]) -> list[Beside]:
        rows = [(index, row) for index, row in enumerate(self.rows[split]) if row.key in ids]
        head, device = head_of(model), next(model.parameters()).device
        found: dict[int, Beside] = {}
        for members in by_length([len(row.ids) for _, row in rows], BATCH_TOKENS, ENOUGH_TOKENS):
            some = [rows[m] for m in members]
            batch = collate({split: some}, pad_id=self.pad_id).to(device)
            hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
            theirs = self.reference(batch)[split]
            wanted = (LOGP, KL_FROM_REFERENCE)
            own = statistics(hidden_ND, head, batch.targets_N, wanted, reference_logits=theirs.logits)
            excess_N = theirs.statistics[LOGP.name] - own[LOGP.name]
            lengths = [row.supervised for _, row in some]
            parts = (values.double().split(lengths) for values in (own[KL_FROM_REFERENCE.name], excess_N))
            for (index, row), kl_N, more_N in zip(some, *parts, strict=True):
                cluster = self.clusters[split][row.key]
                found[index] = Beside(cluster, row.supervised, float(kl_N.sum()), float(more_N.sum()))
        return [found[index] for index, _ in rows]
