"""Merges active adapters into the weights."""

from __future__ import annotations

from forgetting.models.adapters.export import merged
from forgetting.models.transforms.registry import Transform, register_transform


@register_transform("merge", when="Adapters of earlier stages should become weights before the next stage.")
def merge() -> Transform:
    """W ← W + Σ s·B A over the active adapters; a model without adapters is unchanged.

    Summed in fp32 and rounded once to the weight's own precision. FILA's frozen half is among the active adapters.
    """
    return Transform(lambda model, given: merged(model))
