"""Whether two models have the same parameters."""

from __future__ import annotations

from torch import nn


def misfits(own: nn.Module, other: nn.Module) -> list[str]:
    """The names of parameters that one of two models lacks, or that differ in shape; a tied one stands once."""
    here, there = ({name: p.shape for name, p in model.named_parameters()} for model in (own, other))
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
