"""Whether a model separates examples that share a row: tested on the model itself, not by a list of families."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.head import causal_model, embedding_rows, head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode

_LENGTHS = (7, 3, 3)
"""Lengths of the test examples; packed, the short ones share a row with one token of padding."""


def why_padded(model: nn.Module) -> str | None:
    """Why the model's rows must be padded; None if examples may share rows.

    Three short examples are forwarded twice, in evaluation mode and without gradient: in two shared rows, and each in
    its own row. A family that packs gives every token the same hidden state up to rounding, assumed to be within √ε of
    the model's precision (3·10⁻⁴ in fp32, 0.09 in bf16). A model that sees the neighbouring example (a recurrent one,
    or one without positions) differs by about 1.
    """
    family = causal_model(model).config.model_type
    with in_evaluation_mode(model), torch.no_grad():
        apart_ND = _states(model, packed=False)
        try:
            shared_ND = _states(model, packed=True)
        except (TypeError, ValueError) as error:
            return f"{family} takes no packed rows ({str(error).splitlines()[0]})"
    difference = ((shared_ND - apart_ND).norm(dim=-1) / apart_ND.norm(dim=-1)).max().item()
    if difference <= torch.finfo(apart_ND.dtype).eps ** 0.5:
        return None
    return f"{family} lets examples that share a row see each other (their states change by {difference:.0%})"


def _states(model: nn.Module, *, packed: bool) -> Tensor:
    """The input of the head, at every token except each example's last."""
    vocabulary = embedding_rows(model)
    firsts = (sum(_LENGTHS[:i]) for i in range(len(_LENGTHS)))
    examples = [
        Encoded("", tuple((3 + 5 * (first + i)) % vocabulary for i in range(length)), (0.0,) + (1.0,) * (length - 1))
        for first, length in zip(firsts, _LENGTHS, strict=True)
    ]
    batch = collate({"": list(enumerate(examples))}, pad_id=0, packed=packed).to(next(model.parameters()).device)
    head = head_of(model)
    return supervised_hidden(
        model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N, batch.position_ids_BT
    )
