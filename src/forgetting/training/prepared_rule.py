"""What a gradient rule computes of the model and the data before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.data.batches import batches_by_length
from forgetting.data.encode import Encoded
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.objectives.gradient_rules import Before, Prepares
from forgetting.training.processes import as_on_first


@torch.no_grad()
def prepare_rule(rule: Prepares, model: nn.Module, data: Mapping[str, Sequence[Encoded]], pad_id: int) -> None:
    """Prepares a rule on the model before the first step; each process computes it, and takes the first one's result.

    Args:
        rule: a rule that prepares.
        model: whole, with the stage's adapter; it is left as it was.
        data: the encoded examples of each role.
        pad_id: the id that pads rows.
    """
    device = next(model.parameters()).device
    head = head_of(model)

    def batches(role: str, count: int) -> Iterator[Batch]:
        return (batch.to(device) for batch in batches_by_length(data[role][:count], role, pad_id))

    def forward(batch: Batch) -> Tensor:
        return supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)

    with in_evaluation_mode(model):
        rule.prepare(Before(model, [p for p in model.parameters() if p.requires_grad], batches, forward))
    kept = [value for value in rule.state_dict().values() if isinstance(value, tuple)]
    as_on_first(tensor for tensors in kept for tensor in tensors if tensor is not None)
