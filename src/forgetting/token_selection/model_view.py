"""A model with some of its adapters active: log p of tokens, and a fingerprint. No weights are copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.models.head import causal_model, head_of, supervised_hidden
from forgetting.models.view import View
from forgetting.models.vocabulary import statistics
from forgetting.objectives.statistics import LOGP
from forgetting.training.stored_reference import fingerprint_of


@dataclass(frozen=True, eq=False)
class ModelView(View):
    """A view that gives the log p of tokens and the fingerprint of its weights.

    Base and reference of token scores are two views of one set of weights: with the adapters that were active before,
    and with the reference's added. A reference that is a separate model is a view of that model.
    """

    @torch.no_grad()
    def logps(self, batches: Sequence[Batch], after: Callable[[Batch], None]) -> NDArray[np.float32]:
        """log p of every supervised token of the batches in order, nats, `[N]`.

        In evaluation mode; the head is applied to supervised positions only. The model's modes and adapters are
        restored afterwards.

        Args:
            batches: on any device.
            after: called with each batch when it is done.

        Raises:
            ModelError: the model has no adapter of that name.
        """
        device = next(self.model.parameters()).device
        pieces = [np.zeros(0, dtype=np.float32)]
        with self.active():
            head = head_of(self.model)
            for batch in batches:
                there = batch.to(device)
                hidden_ND = supervised_hidden(
                    self.model, head, there.input_ids_BT, there.attention_mask_BT, there.sources_N
                )
                logp_N = statistics(hidden_ND, head, there.targets_N, (LOGP,))[LOGP.name]
                pieces.append(logp_N.float().cpu().numpy())
                after(batch)
        return np.concatenate(pieces)

    def fingerprint(self) -> str:
        """16 hex digits of the viewed model: `fingerprint` of the plain model if no adapter is active.

        It depends on the active adapters' weights, scaling and position, not on their names.
        """
        return fingerprint_of(causal_model(self.model).config, self._weights())

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        """The plain model's weights under their own names, then those of the active adapters, numbered."""
        plain = causal_model(self.model)
        layers = {name: layer for name, layer in plain.named_modules() if isinstance(layer, BaseTunerLayer)}
        inside = tuple(f"{name}.{kind}." for name, layer in layers.items() for kind in layer.adapter_layer_names)
        for name, tensor in plain.state_dict().items():
            if not name.startswith(inside):
                yield name.replace(".base_layer.", "."), tensor
        for number, adapter in enumerate(self.adapters):
            for place, layer in layers.items():
                for kind in layer.adapter_layer_names:
                    held = getattr(layer, kind)
                    if adapter in held:
                        yield from _named(f"{place}.{kind}.{number}", held[adapter])
                scaling = getattr(layer, "scaling", {})
                if adapter in scaling:
                    yield f"{place}.{number}.scaling", torch.tensor(scaling[adapter])


def _named(place: str, held: nn.Module | nn.Parameter) -> Iterator[tuple[str, Tensor]]:
    if isinstance(held, nn.Parameter):
        yield place, held
    else:
        yield from ((f"{place}.{name}", tensor) for name, tensor in held.state_dict().items())
