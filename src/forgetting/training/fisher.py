"""Fisher information of weight matrices: how much a set of examples depends on their entries and rows.

Empirical Fisher information (LoKU, Cha et al. 2025, section 3.4, https://arxiv.org/abs/2408.06621):

    F_W(D) = 1/|D| · Σ_{x ∈ D} (∂ L_LM(x) / ∂W)²,   L_LM(x) = Σ_t −log p(x_t | x_<t) over x's supervised tokens.

The square is of each example's own gradient, so gradients of a batch cannot be added up first. For a matrix with
inputs x_t and output gradients δ_t the gradient of one example is Σ_t δ_t x_tᵀ, formed in the backward pass the moment
δ arrives and used at once: no weight is changed and none gets a `.grad`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.errors import DataError, ModelError
from forgetting.models.adapters.targets import linear_layers
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.vocabulary import Piece, chunk_tokens, vocabulary_loss
from forgetting.objectives.statistics import LOGP

Use = Callable[[str, Tensor], object]
"""Called with a module's name and one example's gradient of it, `[out, in]` fp32, which it may overwrite."""


def fisher(model: PreTrainedModel | PeftModel, batches: Iterable[Batch], modules: Sequence[str]) -> dict[str, Tensor]:
    """F of each of `modules`, `[out, in]`, fp32: the mean over examples of their squared gradients, in nats².

    All of `modules` are in memory at once, 4 bytes per entry; see `each_gradient` for the rest.
    """
    layers = linear_layers(model)
    sums = {name: torch.zeros(shape_of(layers[name]), device=device_of(layers[name])) for name in modules}
    examples = each_gradient(model, batches, modules, lambda name, g_OI: sums[name].addcmul_(g_OI, g_OI))
    return {name: total.div_(examples) for name, total in sums.items()}


def each_gradient(
    model: PreTrainedModel | PeftModel, batches: Iterable[Batch], modules: Sequence[str], use: Use
) -> int:
    """Passes to `use` the gradient of every example's summed loss for each of `modules`; returns the example count.

    The model is in evaluation mode meanwhile. With adapters active, the gradient is that of the effective weight (base
    plus adapters). Layers before the first of `modules` are not differentiated. The data weights of tokens are not
    used. If an example's loss does not depend on a module, its gradient is 0 and is not passed.

    Args:
        batches: right-padded rows of one sequence each; the result does not depend on the batches.
        modules: names in the plain model, as `resolve_targets` gives them.

    Raises:
        DataError: no examples, or a row with several sequences.
        ModelError: a layer mixes examples.
    """
    layers = linear_layers(model)
    chosen = {name: layers[name] for name in modules}
    examples = 0
    with torch.enable_grad(), _frozen(model):
        for batch in batches:
            if len(batch.keys_S) != len(batch.input_ids_BT):
                raise DataError("Fisher information needs one sequence per row; turn packing off for it")
            examples += len(batch.keys_S)
            with _watched(chosen, batch, use) as starts:
                moved = batch.to(device_of(model.get_input_embeddings()))
                torch.autograd.grad(summed_loss(model, moved), starts, allow_unused=True)
    if not examples:
        raise DataError("Fisher information of no examples: the role has no data")
    return examples


def shape_of(layer: nn.Module) -> tuple[int, int]:
    """`(out, in)`, for quantised layers too."""
    if hasattr(layer, "in_features"):
        return cast(int, layer.out_features), cast(int, layer.in_features)
    columns, rows = cast(Tensor, layer.weight).shape  # Conv1D: stored [in, out]
    return rows, columns


def device_of(layer: nn.Module) -> torch.device:
    """The device of a layer's weights."""
    return next(layer.parameters()).device


def summed_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Σ −log p(target) over the supervised tokens of all rows, nats; rows do not affect each other's gradients."""
    head = head_of(model)
    hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
    total = len(batch.targets_N)
    size = chunk_tokens(head.vocabulary(hidden_ND))
    pieces = [
        Piece((slice(start, min(start + size, total)),), (LOGP,), lambda found: -found["logp"].sum())
        for start in range(0, total, size)
    ]
    return vocabulary_loss(hidden_ND, head, batch.targets_N, pieces)


@contextmanager
def _watched(layers: Mapping[str, nn.Module], batch: Batch, use: Use) -> Iterator[list[Tensor]]:
    """Stores the inputs of `layers`, and passes the rows' gradients to `use` when those of the outputs arrive.

    Yields the outputs where the graph begins: as no weight is differentiated, it begins at the first of `layers`. The
    outputs of later layers depend on them, so a backward pass down to them visits every layer.
    """
    shape, lengths = batch.attention_mask_BT.shape, batch.attention_mask_BT.sum(1).tolist()
    starts: list[Tensor] = []
    runs: Counter[str] = Counter()
    arrived: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def finish(name: str) -> None:
        pairs = arrived.pop(name)
        for row, length in enumerate(lengths):
            gradient_OI, *others = (
                grad_BTO[row, :length].float().T @ x_BTI[row, :length].float() for x_BTI, grad_BTO in pairs
            )
            for other_OI in others:
                gradient_OI += other_OI
            use(name, gradient_OI)

    def arrive(name: str, held: list[Tensor], grad_BTO: Tensor) -> None:
        arrived.setdefault(name, []).append((held.pop(), grad_BTO))
        if runs[name] == 1:
            finish(name)

    def note(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs[0].shape[:-1] != shape:
            raise ModelError(
                f"{name}: examples are mixed before this layer (a mixture of experts?); leave it out of the targets"
            )
        runs[name] += 1
        if not output.requires_grad:
            starts.append(output.requires_grad_())
        output.register_hook(partial(arrive, name, [inputs[0].detach()]))  # a list, so that the input can be freed

    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_hook(partial(note, name)).remove)
        yield starts
        for name in list(arrived):  # a layer that ran several times: its gradients add up before they are squared
            finish(name)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no trainable weight; both are restored afterwards."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    try:
        for p in trainable:
            p.requires_grad_(False)
        with in_evaluation_mode(model):
            yield
    finally:
        for p in trainable:
            p.requires_grad_(True)
