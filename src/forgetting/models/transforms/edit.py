"""UniErase's second step: edits some matrices so that questions lead to one token, and texts to keep stay."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError, RecipeError
from forgetting.core.example import Role
from forgetting.models.adapters.export import merged
from forgetting.models.adapters.targets import out_in
from forgetting.models.hidden_states import decoder_blocks
from forgetting.models.modes import in_evaluation_mode
from forgetting.models.quantised import has_quantised
from forgetting.models.transforms.closed_form import solved, span_of, without_span
from forgetting.models.transforms.places import Places, last_matrix
from forgetting.models.transforms.registry import Given, Transform, register_transform


@register_transform(
    "edit",
    paper="arXiv 2505.15674, 2410.02355",
    when="Questions should lead to a token whose row was trained to bring a refusal (UniErase); facts stay below it.",
)
def edit(
    token: str = "<idk>",
    layers: Sequence[int] | None = None,
    share: float = 0.95,
    damping: float = 0.01,
    steps: int = 30,
    rate: float = 0.1,
    reach: float = 2.0,
) -> Transform:
    """UniErase's edit: W ← W + R·K̂ᵀ(K̂·K̂ᵀ + λI)⁻¹ per layer, after which forget questions lead to `token`.

    W `[D, F]` is the last matrix of a block's feed-forward. K `[F, n]` are its inputs at the last token of the n forget
    questions, and K̂ = K − V·Vᵀ·K without the main directions V of its inputs on retained texts (all tokens), so those
    texts keep its outputs: AlphaEdit (arXiv 2410.02355) with the null space cut at `share`, and no earlier edits. R is
    what the outputs lack: a displacement of the last edited block's output at that token is sought for each question,
    by Adam, such that `token` follows; of what is still missing, each layer from the first on takes 1/(layers left).
    λ is `damping` times the mean square length of the columns of K̂.

    The model is measured with that token in front of its answers, which decoding leaves out. It reads the row of the
    token as it is: train that first (`adapter: {kind: rows, tokens: [...]}`, method `idk` with `prefix`).

    Cost: passes over the forget questions, `steps` with a backward; one over retained texts for each layer; F² numbers
    in fp32 and an eigendecomposition in float64 for each layer.

    Args:
        token: of the tokenizer; `new_tokens` of a recipe adds one.
        layers: blocks, from 0; default: from one eighth to a quarter of the depth, as in UniErase (4 to 8 of 32).
        share: of the sum of singular values that V holds, 0 to 1; higher keeps more and edits less.
        damping: 0 or above; higher edits less.
        steps: of the search for displacements.
        rate: of Adam, relative to the mean length of the block's outputs.
        reach: the longest displacement, in lengths of that output.

    Raises:
        RecipeError: an invalid value.
    """
    _check(token, layers, steps)
    for key, value, most in (("share", share, 1), ("damping", damping, None), ("rate", rate, None)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < (most or 1e9) + 1e-12:
            raise RecipeError(f"edit: {key} is {value!r}; it must be a number from 0{f' to {most}' if most else ''}")
    if isinstance(reach, bool) or not isinstance(reach, int | float) or not 0 < reach < math.inf:
        raise RecipeError(f"edit: reach is {reach!r}; it must be a positive number")

    def apply(model: PreTrainedModel | PeftModel, given: Given) -> PreTrainedModel:
        if has_quantised(model):
            raise ModelError("edit: weights in 4 bits cannot be edited; load whole ones")
        target = given.token_id(token, "edit")
        whole = merged(model)
        chosen = _layers(whole, layers)
        places = Places(whole, given, chosen[-1])
        with in_evaluation_mode(whole):
            before = places.led_to(target)
            wanted_nD = places.states() + places.displacements(target, steps, rate, reach)
            for number, layer in enumerate(chosen):
                _edit(places, layer, wanted_nD, len(chosen) - number, share, damping)
            after = places.led_to(target)
        given.say(f"edit: of {len(places.rows)} questions, {before} led to {token} before and {after} do now")
        return whole

    return Transform(apply, roles=(Role.FORGET, Role.RETAIN))


@torch.no_grad()
def _edit(places: Places, layer: int, wanted_nD: torch.Tensor, left: int, share: float, damping: float) -> None:
    """Adds one layer's part of what is missing to its matrix."""
    matrix: nn.Module = last_matrix(places.model, layer)
    span_FV = span_of(places.covariance(matrix), share)
    keys_Fn = without_span(places.inputs(matrix).double().T, span_FV)
    missing_Dn = (wanted_nD - places.states()).double().T / left
    change_DF = solved(missing_Dn, keys_Fn, damping)
    weight_DF = out_in(matrix, matrix.weight)  # type: ignore[arg-type]
    weight_DF += change_DF.to(weight_DF)


def _layers(model: PreTrainedModel, layers: Sequence[int] | None) -> list[int]:
    depth = int(model.config.get_text_config(decoder=True).num_hidden_layers)
    chosen = list(range(depth // 8, max(depth // 8, depth // 4) + 1)) if layers is None else sorted(set(layers))
    decoder_blocks(model, chosen)
    return chosen


def _check(token: object, layers: object, steps: object) -> None:
    if not isinstance(token, str) or not token:
        raise RecipeError(f"edit: token is {token!r}; it must be a token of the tokenizer")
    numbers = [] if layers is None else layers
    if not isinstance(numbers, list | tuple) or any(type(n) is not int for n in numbers) or layers in ([], ()):
        raise RecipeError(f"edit: layers is {layers!r}; write a list of blocks, from 0")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise RecipeError(f"edit: steps is {steps!r}; it must be a whole number above 0")
