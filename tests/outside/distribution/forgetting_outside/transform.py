"""A transform that rounds every matrix to a grid, as a quantisation would."""

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from forgetting import Transform, register_transform
from forgetting.models.transforms import Given, merge


@register_transform("rounded")
def rounded(levels: int = 256) -> Transform:
    """Each matrix on `levels` equal steps between its smallest and largest weight."""

    @torch.no_grad()
    def apply(model: PreTrainedModel | PeftModel, given: Given) -> PreTrainedModel:
        whole = merge().apply(model, given)
        for parameter in whole.parameters():
            if parameter.ndim == 2:
                low, high = parameter.min(), parameter.max()
                step = (high - low).clamp(min=1e-30) / (levels - 1)
                parameter.copy_(((parameter - low) / step).round() * step + low)
        return whole

    return Transform(apply)
