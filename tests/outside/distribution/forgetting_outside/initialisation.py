"""LoRA that starts as the rows of each weight that the forget set is most sensitive to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from forgetting import Initialisation, InitialisationData, Start, register_initialisation
from forgetting.training.fisher import fisher


@dataclass(frozen=True)
class SensitiveRows(Initialisation):
    limit: int | None = None
    roles = ("forget",)
    subtract = True

    def prepare(
        self, model: PreTrainedModel, modules: Sequence[str], data: InitialisationData
    ) -> Iterator[Mapping[str, Tensor]]:
        yield {n: f.sum(1) for n, f in fisher(model, data.batches("forget"), modules).items()}

    def start(
        self, module: str, weight: Tensor, prepared: Tensor | None, *, rank: int, scaling: float, seed: int
    ) -> Start:
        chosen = (torch.zeros(len(weight)) if prepared is None else prepared).topk(rank).indices
        b = torch.zeros(len(weight), rank, device=weight.device)
        b[chosen, torch.arange(rank)] = 1.0 / scaling
        return Start(b, weight[chosen])


@register_initialisation("sensitive_rows", title="sensitive rows")
def sensitive_rows(examples: int | None = None) -> Initialisation:
    """Starts as the rows of largest Fisher information on the forget set; `examples` of it are read."""
    return SensitiveRows(examples)
