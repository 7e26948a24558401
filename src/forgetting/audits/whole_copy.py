"""A copy of a model that an attack may change."""

from __future__ import annotations

import copy
from typing import cast

from torch import nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters import merged
from forgetting.models.quantised import has_quantised


def whole_copy(model: nn.Module) -> PreTrainedModel:
    """A plain model of its own with the active adapters in its weights; it takes as much memory again.

    Raises:
        ModelError: weights in 4 bits, into which no adapter can be merged.
    """
    if has_quantised(model):
        raise ModelError("the model's weights are in 4 bits already, and this attack needs whole ones; leave it out")
    return merged(copy.deepcopy(cast(PreTrainedModel, model))).eval()
