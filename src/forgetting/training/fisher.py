"""Fisher information of weight matrices: which of their entries and rows a set of examples depends on.

Empirical Fisher information (LoKU, Cha et al. 2025, section 3.4, https://arxiv.org/abs/2408.06621):

    F_W(D) = 1/|D| · Σ_{x ∈ D} (∂ L_LM(x) / ∂W)²,   L_LM(x) = Σ_t −log p(x_t | x_<t) over x's supervised tokens.

The square is of each example's own gradient, so gradients of a batch cannot be added up first. For a matrix with
inputs x_t and output gradients δ_t the gradient of one example is Σ_t δ_t x_tᵀ, from hooks on its layer: no weight is
changed and none gets a `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.errors import DataError, ModelError
from forgetting.core.evaluator import Progress
from forgetting.models.adapters.fila import row_weights
from forgetting.models.adapters.spec import Epsilon
from forgetting.models.adapters.targets import linear_layers

TokenLoss = Callable[[nn.Module, Batch], Tensor]
"""−log p(target) of each supervised token, `[N]`, nats, differentiable."""


def plain_token_loss(model: nn.Module, batch: Batch) -> Tensor:
    """−log p(target) of each supervised token, `[N]`, from the model's own logits."""
    output = model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT, use_cache=False)
    logits_NV = output.logits.flatten(0, 1)[batch.sources_N].float()
    return cross_entropy(logits_NV, batch.targets_N, reduction="none")


def fisher(
    model: PreTrainedModel | PeftModel,
    batches: Iterable[Batch],
    modules: Sequence[str],
    *,
    token_loss: TokenLoss = plain_token_loss,
) -> dict[str, Tensor]:
    """F of each of `modules`, `[out, in]`, fp32: the mean over examples of their squared gradients, in nats².

    The model is in evaluation mode meanwhile. With adapters active, F is that of the weight in effect (base plus
    adapters). Layers before the first of `modules` are not differentiated. The data weights of tokens are not used.

    Args:
        batches: right-padded rows of one sequence each; how the examples are grouped into batches changes nothing.
        modules: names in the plain model, as `resolve_targets` gives them; their F is in memory at once.

    Raises:
        DataError: no examples, or a row with several sequences.
    """
    layers = linear_layers(model)
    chosen = {name: layers[name] for name in modules}
    sums = {name: torch.zeros(_shape(layer), device=_device(layer)) for name, layer in chosen.items()}
    examples = 0
    with torch.enable_grad(), _frozen(model), _recorded(chosen) as calls:
        for batch in batches:
            if len(batch.keys_S) != len(batch.input_ids_BT):
                raise DataError("Fisher information needs one sequence per row; turn packing off for it")
            examples += len(batch.keys_S)
            batch = batch.to(_device(model.get_input_embeddings()))
            loss = token_loss(model, batch).sum()
            _add_squares(sums, loss, calls, batch.attention_mask_BT.bool())
            calls.clear()
    if not examples:
        raise DataError("Fisher information of no examples: the role has no data")
    return {name: total.div_(examples) for name, total in sums.items()}


def row_importance(
    model: PreTrainedModel | PeftModel,
    forget: Iterable[Batch],
    retain: Iterable[Batch],
    modules: Sequence[str],
    *,
    epsilon: Epsilon = "relative",
    at_once: int = 16,
    token_loss: TokenLoss = plain_token_loss,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """FILA's w of each of `modules`, `[out]`: sqrt of the row sums of F_forget / (F_retain + ε), see `row_weights`.

    Args:
        forget, retain: batches that can be gone through again and again (a list or a loader, no generator).
        at_once: for how many modules F_forget and F_retain are in memory together; the data are gone through once for
            each such group, in the model's order, so that later groups differentiate fewer layers.

    Raises:
        DataError: a role has no examples, or a row has several sequences.
    """
    if iter(forget) is forget or iter(retain) is retain:
        raise TypeError("row_importance goes through its batches more than once; give lists or loaders, not generators")
    rows: dict[str, Tensor] = {}
    for first in range(0, len(modules), at_once):
        group = modules[first : first + at_once]
        on_forget, on_retain = (fisher(model, data, group, token_loss=token_loss) for data in (forget, retain))
        rows |= {name: row_weights(on_forget[name], on_retain[name], epsilon) for name in group}
        if progress is not None:
            progress(len(rows), len(modules), "importance for the forget set")
    return rows


_Calls = dict[str, list[tuple[Tensor, Tensor]]]
"""Inputs and outputs of each module, one pair for each time it ran."""


@contextmanager
def _recorded(layers: dict[str, nn.Module]) -> Iterator[_Calls]:
    """Notes what goes in and comes out of `layers`, and lets gradients start at the first of them."""
    calls: _Calls = {}

    def hook_of(name: str) -> Callable[..., None]:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_()
            calls.setdefault(name, []).append((inputs[0].detach(), output))

        return note

    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_hook(hook_of(name)).remove)
        yield calls


@torch.no_grad()
def _add_squares(sums: dict[str, Tensor], loss: Tensor, calls: _Calls, real_BT: Tensor) -> None:
    """Adds the squared gradient of each row of the batch, one row and module at a time."""
    names = [name for name, pairs in calls.items() for _ in pairs]
    inputs = [x for pairs in calls.values() for x, _ in pairs]
    outputs = [y for pairs in calls.values() for _, y in pairs]
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True)
    if any(x.shape[:-1] != real_BT.shape for x in inputs):
        raise ModelError(
            f"{names[0]}: examples are mixed before this layer (a mixture of experts?); leave it out of the targets"
        )
    for row, real_T in enumerate(real_BT):
        per_example: dict[str, Tensor] = {}
        for name, x_BTI, grad_BTO in zip(names, inputs, gradients, strict=True):
            if grad_BTO is None:
                continue
            keep_T = real_T.to(x_BTI.device)
            product_OI = grad_BTO[row, keep_T].float().T @ x_BTI[row, keep_T].float()
            per_example[name] = per_example[name] + product_OI if name in per_example else product_OI
        for name, gradient_OI in per_example.items():
            sums[name].addcmul_(gradient_OI, gradient_OI)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no trainable weight, put back afterwards as they were."""
    modes = [(module, module.training) for module in model.modules()]
    trainable = [p for p in model.parameters() if p.requires_grad]
    try:
        model.eval()
        for p in trainable:
            p.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for p in trainable:
            p.requires_grad_(True)


def _shape(layer: nn.Module) -> tuple[int, int]:
    """`(out, in)`, for quantised layers too."""
    if hasattr(layer, "in_features"):
        return cast(int, layer.out_features), cast(int, layer.in_features)
    columns, rows = cast(Tensor, layer.weight).shape  # Conv1D: stored [in, out]
    return rows, columns


def _device(layer: nn.Module) -> torch.device:
    return next(layer.parameters()).device
